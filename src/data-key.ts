/** Data keys: AES-256-GCM over texts that name a person. The first key seals, all of them open. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const PLAIN = 'plain.';
const KEY_ID = /^[a-z0-9-]{1,20}$/;
const SEALED = /^v1\.([a-z0-9-]{1,20})\.([\w-]{16})\.([\w-]+)$/;

/** `key` has 32 bytes. */
export type DataKey = { id: string; key: Buffer };

export type DataKeys = ReturnType<typeof createDataKeys>;

/**
 * Without any key, texts are marked as plain and not encrypted; a gateway that gets a key later still reads them.
 * `reread` answers the keys anew, for a process to learn of one that was made while it runs.
 */
export function createDataKeys(keys: readonly DataKey[], reread: () => readonly DataKey[] = () => keys) {
  let current = keys;
  const refresh = () => {
    current = reread();
  };

  return {
    /** The first one seals. */
    ids: () => current.map(({ id }) => id),
    refresh,

    /** `v1.<key id>.<iv>.<ciphertext and tag>`. Opens again only with the same `context`, which is not in the answer. */
    seal(plain: string, context: string): string {
      const [first] = current;
      if (!first) return PLAIN + plain;
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(ALGORITHM, first.key, iv, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `v1.${first.id}.${iv.toString('base64url')}.${body.toString('base64url')}`;
    },

    /** Throws where the key is missing, and where text or context are not what was sealed; shows neither. */
    open(sealed: string, context: string): string {
      if (sealed.startsWith(PLAIN)) return sealed.slice(PLAIN.length);
      const [, id, iv, body] = SEALED.exec(sealed) ?? [];
      if (id === undefined || iv === undefined || body === undefined) throw new Error('This is no sealed text.');
      const find = () => current.find((one) => one.id === id)?.key;
      if (!find()) refresh();
      const key = find();
      if (!key)
        throw new Error(`A text is sealed with the data key "${id}", which this process lacks: add it to DATA_KEY.`);
      const bytes = Buffer.from(body, 'base64url');
      // Some last characters differ in bits that decoding drops: only one spelling is taken.
      if (bytes.length >= TAG_BYTES && bytes.toString('base64url') === body) {
        const decipher = createDecipheriv(ALGORITHM, key, Buffer.from(iv, 'base64url'), { authTagLength: TAG_BYTES });
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES));
        try {
          return decipher.update(bytes.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
        } catch {
          // Told below.
        }
      }
      throw new Error(
        `A text sealed with the data key "${id}" was changed, or belongs elsewhere, or the key is another one.`,
      );
    },
  };
}

/** The id of the key that sealed the text; undefined where it is plain or not sealed at all. */
export function keyIdOf(sealed: string): string | undefined {
  return SEALED.exec(sealed)?.[1];
}

/** Random; the id is random too, so that two people who make one each make two. */
export function newDataKey(): DataKey {
  return { id: `k-${randomBytes(4).toString('hex')}`, key: randomBytes(KEY_BYTES) };
}

/** `id:base64`, as DATA_KEY has it. */
export function dataKeyText({ id, key }: DataKey): string {
  return `${id}:${key.toString('base64')}`;
}

/** Reads `id:base64[,id:base64…]`, and reports all that is wrong with it, without any of it. */
export function parseDataKeys(text: string, report: (problem: string) => void): DataKey[] {
  const ids: string[] = [];
  return text.split(',').flatMap((one, index): DataKey[] => {
    const [, id = '', base64 = ''] = /^([^:]*):(.*)$/.exec(one.trim()) ?? [];
    const key = Buffer.from(base64, 'base64');
    const problems: string[] = [];
    if (!KEY_ID.test(id)) problems.push('needs an id of 1 to 20 of a-z, 0-9 and -, then a colon');
    else if (ids.includes(id)) problems.push(`has the id of key ${ids.indexOf(id) + 1}`);
    if (key.length !== KEY_BYTES || key.toString('base64') !== base64) problems.push('needs 32 bytes in base64');
    ids.push(id);
    for (const problem of problems) report(`key ${index + 1} ${problem} (\`universal-logout data-key new\` makes one)`);
    return problems.length === 0 ? [{ id, key }] : [];
  });
}
