/** The address guard: every spelling of an address that is not public is refused unless listed. */
import { createAddressGuard } from '../../src/outbound/address-guard.js';

const refusal = createAddressGuard([]);

describe('an address that is not public', () => {
  it.each([
    ['loopback', '127.0.0.1'],
    ['the end of loopback', '127.255.255.254'],
    ['IPv6 loopback', '::1'],
    ['IPv6 loopback in brackets', '[::1]'],
    ['IPv6 loopback, written out', '0:0:0:0:0:0:0:1'],
    ['loopback, IPv4-mapped', '::ffff:127.0.0.1'],
    ['loopback, IPv4-mapped, in hexadecimal', '::ffff:7f00:1'],
    ['loopback, IPv4-compatible', '::127.0.0.1'],
    ['loopback, IPv4-compatible, in hexadecimal', '::7f00:1'],
    ['loopback, translated (RFC 6145)', '::ffff:0:7f00:1'],
    ['loopback, NAT64', '64:ff9b::7f00:1'],
    ['loopback, local NAT64', '64:ff9b:1::7f00:1'],
    ['loopback, local NAT64 with the address in the middle', '64:ff9b:1:7f00:0:100::'],
    ['public, local NAT64', '64:ff9b:1::808:808'],
    ['loopback, 6to4', '2002:7f00:1::'],
    ['loopback, 6to4 with a host part', '2002:7f00:1::1'],
    ['loopback, Teredo', '2001:0:7f00:1::'],
    ['loopback as one decimal number', '2130706433'],
    ['loopback, octal', '0177.0.0.1'],
    ['loopback, hexadecimal', '0x7f.1'],
    ['loopback, short', '127.1'],
    ['this host', '0.0.0.0'],
    ['this network', '0.1.2.3'],
    ['IPv6 unspecified', '::'],
    ['private 10/8', '10.0.0.1'],
    ['the start of private 172.16/12', '172.16.0.0'],
    ['the end of private 172.16/12', '172.31.255.255'],
    ['private 192.168/16', '192.168.255.1'],
    ['private, 6to4', '2002:c0a8:101::'],
    ['the metadata service of a cloud', '169.254.169.254'],
    ['the metadata service, IPv4-mapped', '::ffff:169.254.169.254'],
    ['the metadata service, NAT64', '64:ff9b::a9fe:a9fe'],
    ['the metadata service over IPv6', 'fd00:ec2::254'],
    ["Azure's WireServer", '168.63.129.16'],
    ["Azure's WireServer, IPv4-mapped", '::ffff:168.63.129.16'],
    ["Azure's WireServer, NAT64", '64:ff9b::a83f:8110'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['the end of carrier-grade NAT', '100.127.255.255'],
    ['unique local', 'fc00::1'],
    ['unique local, the other half', 'fdff::1'],
    ['link-local', 'fe80::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['site-local', 'fec0::1'],
    ['multicast', '224.0.0.1'],
    ['the end of multicast', '239.255.255.255'],
    ['IPv6 multicast', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['reserved for the future', '240.0.0.1'],
    ['documentation 192.0.2/24', '192.0.2.1'],
    ['documentation 198.51.100/24', '198.51.100.1'],
    ['documentation 203.0.113/24', '203.0.113.1'],
    ['IPv6 documentation', '2001:db8::1'],
    ['IETF protocol assignments', '192.0.0.8'],
    ['the 6to4 relay', '192.88.99.1'],
    ['benchmarking', '198.18.0.1'],
    ['IPv6 discard', '100::1'],
  ])('is refused over https [%s, %s]', (_what, address) => {
    expect(refusal(address, 'https:')).toMatch(/refused unless listed/);
    expect(refusal(address, 'http:')).toMatch(/plain http/);
  });

  it.each([
    'http://2130706433/',
    'http://0x7f.1/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://017700000001/',
    'http://127.1/',
    'http://127.0.0.1./',
    'http://①②⑦.0.0.1/',
    'http://127。0。0。1/',
    'http://%31%32%37.0.0.1/',
    'http://0/',
    'http://[::1]/',
    'http://[0:0::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[2002:7f00:1::]/',
    'http://a:b@127.0.0.1:8080/x?y#z',
  ])('is refused however a URL spells it [%s]', (url) => {
    expect(refusal(new URL(url).hostname, 'https:')).toMatch(/refused unless listed/);
  });

  it.each(['', 'example.com', 'localhost', '127.0.0.1 ', '1.2.3.4.5', '256.1.1.1', ':::', '127.0.0.1/8'])(
    'is not even an address [%j]',
    (text) => {
      expect(refusal(text, 'https:')).toMatch(/is not an IP address$/);
      expect(createAddressGuard(['0.0.0.0/0', '::/0'])(text, 'https:')).toMatch(/is not an IP address$/);
    },
  );
});

describe('a public address', () => {
  it.each([
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.1',
    '192.167.255.255',
    '100.63.255.255',
    '100.128.0.1',
    '168.63.129.15',
    '168.63.129.17',
    '2606:4700:4700::1111',
    '[2606:4700:4700::1111]',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:808:808::1',
  ])('is allowed over https and refused over http [%s]', (address) => {
    expect(refusal(address, 'https:')).toBeUndefined();
    expect(refusal(address, 'http:')).toMatch(/plain http is allowed only to networks listed/);
  });
});

describe('a listed network', () => {
  const listed = createAddressGuard(['10.1.0.0/16', 'fd00:1::/32', '203.0.113.7/32']);

  it.each(['10.1.0.1', '10.1.255.255', '::ffff:10.1.2.3', '64:ff9b::a01:203', 'fd00:1:2::3', '203.0.113.7'])(
    'is allowed over both protocols [%s]',
    (address) => {
      expect(listed(address, 'https:')).toBeUndefined();
      expect(listed(address, 'http:')).toBeUndefined();
    },
  );

  it.each(['10.0.255.255', '10.2.0.0', 'fd00:2::1', '203.0.113.8', '127.0.0.1', '::1', '::a01:203'])(
    'opens nothing beside it [%s]',
    (address) => {
      expect(listed(address, 'https:')).toMatch(/refused unless listed/);
      expect(listed(address, 'http:')).toMatch(/plain http/);
    },
  );

  it('still leaves plain http to everywhere else refused', () => {
    expect(listed('8.8.8.8', 'http:')).toMatch(/plain http/);
    expect(listed('8.8.8.8', 'https:')).toBeUndefined();
  });

  it.each(['10.1.0.0', '10.1.0.0/33', 'example.com/8', ''])('has to be a network [%j]', (network) => {
    expect(() => createAddressGuard([network])).toThrow();
  });
});
