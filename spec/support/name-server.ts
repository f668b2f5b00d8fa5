/** A name server whose one name may fail, and a preload that has a process ask it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const SERVFAIL = 2;
const HEADER_BYTES = 12;

export type NameServer = Awaited<ReturnType<typeof startNameServer>>;

/** Answers 127.0.0.1 to every question for an IPv4 address, or SERVFAIL. */
export async function startNameServer() {
  let isWell = true;
  let questions = 0;
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    questions += 1;
    let end = HEADER_BYTES;
    while (query[end]) end += (query[end] as number) + 1;
    const question = query.subarray(HEADER_BYTES, end + 5);
    const isIpv4 = query.readUInt16BE(end + 1) === 1;
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (isWell ? 0 : SERVFAIL), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(isWell && isIpv4 ? 1 : 0, 6);
    // The name is the one at byte 12; type A, class IN, no time to live, four bytes.
    const record = Buffer.from([0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    socket.send(Buffer.concat([header, question, ...(isWell && isIpv4 ? [record] : [])]), port, address);
  });
  await once(socket.bind(0, '127.0.0.1'), 'listening');
  const { port } = socket.address();
  const preload = `
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
const resolver = new dns.Resolver({ timeout: 500, tries: 1 });
resolver.setServers(['127.0.0.1:${port}']);
const lookup = dns.lookup;
dns.lookup = (name, options, callback) => {
  if (!name.endsWith('.example')) return lookup(name, options, callback);
  resolver.resolve4(name, (error, addresses) => {
    if (error) return callback(error);
    callback(null, addresses.map((address) => ({ address, family: 4 })));
  });
};
syncBuiltinESMExports();`;
  return {
    /** For NODE_OPTIONS: names under .example are asked of this server, as the system's resolver would be told to. */
    nodeOptions: `--import=data:text/javascript,${encodeURIComponent(preload)}`,
    questions: () => questions,
    fail(): void {
      isWell = false;
    },
    mend(): void {
      isWell = true;
    },
    async close(): Promise<void> {
      socket.close();
      await once(socket, 'close');
    },
  };
}
