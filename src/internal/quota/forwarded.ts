/**
 * The address of a client behind proxies, as the proxies tell it in `x-forwarded-for` or `forwarded` (RFC 7239).
 */

/** An address with a port behind it, or in brackets. */
const withPort = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/i

const withoutPort = (address: string): string => {
  const [, ipv6, ipv4] = withPort.exec(address) ?? []
  return ipv6 ?? ipv4 ?? address
}

/** The `for` of an element of `forwarded`; empty without one. */
const forOf = (element: string): string => /(?:^|;)\s*for\s*=\s*"?([^";]*)/i.exec(element)?.[1] ?? ""

/**
 * The address that the outermost of `proxies` proxies has seen. Each appends the address of whoever called it; what stands
 * before those is what the client itself has sent.
 *
 * @internal
 */
export const forwardedFor = (field: string, isForwarded: boolean, proxies: number): string | undefined => {
  const elements = field.split(",").map((element) => (isForwarded ? forOf(element) : element).trim())
  const address = elements[Math.max(0, elements.length - proxies)]!
  return address === "" || address.toLowerCase() === "unknown" ? undefined : withoutPort(address)
}
