/** Self-signed X.509 certificates, as a SAML app has one for its assertions. */
import { type KeyObject, sign as signBytes } from 'node:crypto';

const VERSION_3 = '\xa0\x03\x02\x01\x02';
const COMMON_NAME = '\x06\x03\x55\x04\x03';
const SIGNED_WITH = {
  rsa: '\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00',
  ec: '\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02',
};

const END = new Date('2049-12-31T23:59:59Z');

type Subject = { publicKey: KeyObject; privateKey: KeyObject; until?: Date };

/** A certificate in PEM over this key pair, good from 2020 on (RFC 5280 §4.1). */
export function certificateOf({ publicKey, privateKey, until = END }: Subject): string {
  const algorithm = sequence(bytes(SIGNED_WITH[publicKey.asymmetricKeyType as 'rsa' | 'ec']));
  const name = sequence(der(0x31, sequence(bytes(COMMON_NAME), der(0x0c, bytes('okta')))));
  const validity = sequence(der(0x17, bytes('200101000000Z')), der(0x17, bytes(utcTime(until))));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const content = sequence(bytes(VERSION_3), der(0x02, bytes('\x01')), algorithm, name, validity, name, key);
  const signature = der(0x03, bytes('\x00'), signBytes('sha256', content, privateKey));
  const lines = sequence(content, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** 491231235959Z is the end of 2049. */
function utcTime(at: Date): string {
  return at.toISOString().replace(/^..|[-T:]|\.\d+/g, '');
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** One value of DER (X.690 §8.1): its tag, its length, its content. */
function der(tag: number, ...content: Buffer[]): Buffer {
  const { length } = Buffer.concat(content);
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), ...content]);
}

function sequence(...content: Buffer[]): Buffer {
  return der(0x30, ...content);
}
