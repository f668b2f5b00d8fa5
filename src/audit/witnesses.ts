/** Checkpoints that were kept elsewhere than in Redis, in few bytes each: a busy gateway writes one a second, for years. */
import type { Claims } from './checkpoint.js';

const PER_BLOCK = 4_096;
const HEAD_BYTES = 32;

/** What was signed of the first `count` records, and where it stands. */
export type Witness = { count: number; at: number; place: string };

export type Witnesses = ReturnType<typeof createWitnesses>;

type Block = { counts: Float64Array; times: Float64Array; heads: Buffer; lines: Uint32Array };

/** Those of one tenant; their signatures are verified already. */
export function createWitnesses() {
  // Arrays of numbers outside of the heap, which has a limit and needs ten times the room for objects and strings.
  const blocks: Block[] = [];
  const files: { name: string; first: number }[] = [];
  let size = 0;
  let furthest = -1;
  let inOrder = true;

  function block(index: number): Block {
    return blocks[Math.floor(index / PER_BLOCK)] as Block;
  }

  function countAt(index: number): number {
    return block(index).counts[index % PER_BLOCK] as number;
  }

  function headAt(index: number): string {
    const start = (index % PER_BLOCK) * HEAD_BYTES;
    return block(index).heads.toString('base64url', start, start + HEAD_BYTES);
  }

  function witnessAt(index: number): Witness {
    const { times, lines } = block(index);
    const file = files.findLast(({ first }) => first <= index);
    const place = `${file?.name}:${lines[index % PER_BLOCK]}`;
    return { count: countAt(index), at: times[index % PER_BLOCK] as number, place };
  }

  /** The indices by count, and where that is the same by index; undefined where they are so already. */
  function order(): BigUint64Array | undefined {
    if (inOrder) return undefined;
    // Both in one number, since only numbers are sorted without a copy on the heap. Neither reaches 2^32.
    const sorted = new BigUint64Array(size);
    for (let index = 0; index < size; index++) sorted[index] = (BigInt(countAt(index)) << 32n) | BigInt(index);
    return sorted.sort();
  }

  return {
    size: () => size,

    add({ count, head, at }: Pick<Claims, 'count' | 'head' | 'at'>, file: string, line: number): void {
      if (files.at(-1)?.name !== file) files.push({ name: file, first: size });
      const index = size++;
      const here = index % PER_BLOCK;
      if (here === 0) blocks.push(newBlock());
      const { counts, times, heads, lines } = block(index);
      counts[here] = count;
      times[here] = at;
      lines[here] = line;
      heads.write(head, here * HEAD_BYTES, HEAD_BYTES, 'base64url');
      if (index > 0 && count < countAt(index - 1)) inOrder = false;
      if (furthest < 0 || count > countAt(furthest)) furthest = index;
    },

    /** The one of the most records. */
    furthest: () => (furthest < 0 ? undefined : witnessAt(furthest)),

    /** To be told the heads of a trail, by growing count; answers with the first that has another head for that count. */
    compare(): (count: number, head: string) => Witness | undefined {
      const sorted = order();
      const indexAt = (position: number) => (sorted ? Number((sorted[position] as bigint) & 0xffffffffn) : position);
      let position = 0;
      return (count, head) => {
        let other: Witness | undefined;
        for (; position < size && countAt(indexAt(position)) <= count; position++) {
          const index = indexAt(position);
          if (!other && countAt(index) === count && headAt(index) !== head) other = witnessAt(index);
        }
        return other;
      };
    },
  };
}

function newBlock(): Block {
  return {
    counts: new Float64Array(PER_BLOCK),
    times: new Float64Array(PER_BLOCK),
    heads: Buffer.alloc(PER_BLOCK * HEAD_BYTES),
    lines: new Uint32Array(PER_BLOCK),
  };
}
