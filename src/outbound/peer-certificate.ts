/** Until when the certificate is good that a TLS server shows, and whether clients trust it; nothing is sent. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';

export type PeerCertificate = {
  /** Milliseconds since the epoch. */
  goodUntil: number;
  /** The code of Node.js or OpenSSL for why a client would not go on, such as CERT_HAS_EXPIRED. */
  refused: string | undefined;
};

/** Rejects where no TLS server answers in time. Looks at whatever address the name has: only for our own. */
export function readPeerCertificate(url: string, timeoutMs: number): Promise<PeerCertificate> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const name = isIP(host) ? {} : { servername: host };
    // Refused or not, it is looked at.
    const socket = connect({ host, port: Number(port || 443), ...name, rejectUnauthorized: false });
    const timer = setTimeout(() => socket.destroy(new Error(`${host} did not answer in time`)), timeoutMs);
    socket.once('error', reject).once('close', () => clearTimeout(timer));
    socket.once('secureConnect', () => {
      const { valid_to } = socket.getPeerCertificate();
      const refused = socket.authorizationError as (Error & { code?: string }) | string | undefined;
      socket.destroy();
      const code = typeof refused === 'string' ? refused : (refused?.code ?? refused?.message);
      resolve({ goodUntil: Date.parse(valid_to), refused: code });
    });
  });
}
