/** Which network addresses outbound calls may reach: public ones over https, others only where the settings list them. */
import ipaddr from 'ipaddr.js';

// What ipaddr.js takes for public addresses: Azure's WireServer, reachable from inside a cloud machine only, and
// the IPv4-compatible form of any IPv4 address (RFC 4291 §2.5.5.1), which nobody has a use for.
// And NAT64 prefixes of a network's own (RFC 8215), which may hide an IPv4 address in several places.
const NOT_PUBLIC = ['168.63.129.16/32', '::/96', '64:ff9b:1::/48'].map((network) => ipaddr.parseCIDR(network));

// Ranges that carry an IPv4 address in an IPv6 one (RFC 6052, RFC 3056): judged by what they carry.
const EMBEDDED_IPV4 = [
  { range: ipaddr.parseCIDR('64:ff9b::/96'), offset: 12 },
  { range: ipaddr.parseCIDR('2002::/16'), offset: 2 },
];

export type AddressGuard = ReturnType<typeof createAddressGuard>;

/** A guard over `allowNetworks` (CIDR notation). Throws where an entry is not a network. */
export function createAddressGuard(allowNetworks: readonly string[]) {
  const networks = allowNetworks.map((network) => ipaddr.parseCIDR(network));
  const isListed = (address: Address) => networks.some((network) => contains(network, address));

  /** Why this address may not be called over this protocol, or undefined where it may. */
  return function refusal(address: string, protocol: 'http:' | 'https:'): string | undefined {
    const parsed = parse(address);
    if (!parsed) return `${address} is not an IP address`;
    if (isListed(parsed)) return undefined;
    if (protocol === 'http:') return 'plain http is allowed only to networks listed in outbound.allowNetworks';
    if (!isPublic(parsed)) return 'private and special addresses are refused unless listed in outbound.allowNetworks';
    return undefined;
  };
}

type Address = ReturnType<typeof ipaddr.parse>;

function parse(address: string): Address | undefined {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return undefined;
  const parsed = ipaddr.process(bare);
  if (parsed.kind() === 'ipv6') {
    for (const { range, offset } of EMBEDDED_IPV4) {
      if (contains(range, parsed)) return ipaddr.fromByteArray(parsed.toByteArray().slice(offset, offset + 4));
    }
  }
  return parsed;
}

function contains(network: ReturnType<typeof ipaddr.parseCIDR>, address: Address): boolean {
  return network[0].kind() === address.kind() && address.match(network as never);
}

function isPublic(address: Address): boolean {
  return address.range() === 'unicast' && !NOT_PUBLIC.some((network) => contains(network, address));
}
