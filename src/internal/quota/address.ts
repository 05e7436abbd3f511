/**
 * The address under which a client's quotas are counted.
 */

/** An address may be any text that a proxy has handed on, and is kept: so it counts by its beginning. None is longer. */
const maxLength = 128

const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** The eight groups of an IPv6 address. */
const groupsOf = (address: string): ReadonlyArray<string> => {
  const [head = "", tail] = address.split("::")
  const before = head === "" ? [] : head.split(":")
  if (tail === undefined) return before
  const after = tail === "" ? [] : tail.split(":")
  return [...before, ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0"), ...after]
}

/**
 * The network of an IPv6 address that counts by its first 64 bits: the first 48 bits, which a single customer of a provider may
 * have. Other addresses have none.
 *
 * @internal
 */
export const networkOf = (counted: string): string | undefined => {
  const groups = /^((?:[0-9a-f]+:){2}[0-9a-f]+):[0-9a-f]+::\/64$/.exec(counted)?.[1]
  return groups === undefined ? undefined : `${groups}::/48`
}

/**
 * An IPv4 address as it is, one that is mapped into IPv6 as IPv4, and of an IPv6 address the first 64 bits: a host has all
 * addresses of its network, and could come from another one each time. Other texts count as they are.
 *
 * @internal
 */
export const countedAddress = (address: string): string => {
  // Without the zone of a link-local address, and without brackets.
  const bare = address.slice(0, maxLength).replace(/^\[|\]$|%.*$/gs, "")
  const ipv4 = mapped.exec(bare)?.[1]
  if (ipv4 !== undefined) return ipv4
  if (!/^[0-9a-f.]*:[0-9a-f:.]*$/i.test(bare)) return address.slice(0, maxLength)
  const network = groupsOf(bare).slice(0, 4).map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""))
  return `${network.join(":")}::/64`
}
