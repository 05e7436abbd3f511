/**
 * What to check when Node can't open a WebSocket, by what `ws`, Node and OpenSSL say.
 */
import type { Advice } from "../internal/client/advice.ts"

/** @internal */
export const nodeAdvice: Advice = [
  [/^(?:Header name|Invalid character in header)/, "check the option `headers`"],
  [/ECONNREFUSED/, "nothing listens there: check that the server runs, and its host and port"],
  [/ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/, "check the host name and the network"],
  [/response: 404/, "the server has no such path: check the path"],
  [/response: 403/, "check that the server allows this origin, and this client"],
  [/response: 401/, "check the credentials in headers"],
  [/response: 421/, "the server serves no such host: check the host, and `hosts` of the server"],
  [/response: 429/, "the server has too much to do for this address: check its quotas, and `addressOf` behind a proxy"],
  [/response: (?:400|426)/, "check the option `wire`, and that proxies pass the upgrade and its subprotocol on"],
  [/response: 3/, "the server redirects: check scheme, host and path"],
  [/response: 5/, "check that the server runs, and proxies before it: one of them is not ready"],
  [/response: /, "that is no WebSocket endpoint: check host, port and path"],
  [/certificate|self.signed|ERR_TLS/i, "check the server's certificate and its host name"],
  [/SSL|EPROTO|wrong version|secure TLS/i, "no TLS is spoken there: check the port, and whether it has to be ws:"],
  [/Parse Error/i, "no HTTP is spoken there: check the port, and whether it has to be wss:"],
  [/hang up|ECONNRESET/i, "no HTTP answer came: check that the server runs, the port, and whether it has to be wss:"]
]
