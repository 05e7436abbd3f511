/**
 * What to check when a client can't connect, for the log.
 */
import type { RefusalCode, SwaggerSocketError } from "../../SwaggerSocketError.ts"

const nobodyAnswers = "nobody answers there: check host and port, and proxies and firewalls between"

const ofRefusals: { readonly [Code in RefusalCode]?: string } = {
  HANDSHAKE_INVALID: "check that the path is that of a SwaggerSocket server; one of Go needs wire \"v1\"",
  HANDSHAKE_TIMEOUT: nobodyAnswers,
  VERSION_UNSUPPORTED: "update the client or the server: they speak different versions",
  METADATA_INVALID: "check the client's metadata against the server's schema",
  UNAUTHENTICATED: "check the credentials in headers or metadata",
  IDENTITY_REPLACED: "check that no other client has the same identity: one has connected",
  IDENTITY_IN_USE: "check that no other client has the same identity: one is connected",
  FORBIDDEN: "this client may not connect: check its credentials and the server's rules"
}

const elsewhere = "check host, port, path and scheme (ws: or wss:)"

/** What to check, by the texts of errors of WebSockets and of the networks below. */
const ofLinks: ReadonlyArray<readonly [text: RegExp, advice: string]> = [
  [/^(?:url|headers|metadata|the client) (?:failed|was)/, "look at what the client is made with"],
  [/^(?:Header name|Invalid character in header)/, "check the option `headers`"],
  [/^timeout waiting/, nobodyAnswers],
  [/ECONNREFUSED/, "nothing listens there: check that the server runs, and its host and port"],
  [/ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/, "check the host name and the network"],
  [/response: 404/, "the server has no such path: check the path"],
  [/response: 403/, "check that the server allows this origin, and this client"],
  [/response: 401/, "check the credentials in headers"],
  [/response: 421/, "the server serves no such host: check the host, and `hosts` of the server"],
  [/response: (?:400|426)/, "check the option `wire`, and that proxies pass the upgrade and its subprotocol on"],
  [/response: 3/, "the server redirects: check scheme, host and path"],
  [/response: 5/, "check that the server runs, and proxies before it: one of them is not ready"],
  [/response: /, "that is no WebSocket endpoint: check host, port and path"],
  [/certificate|self.signed|ERR_TLS/i, "check the server's certificate and its host name"],
  [/SSL|EPROTO|wrong version|secure TLS/i, "no TLS is spoken there: check the port, and whether it has to be ws:"],
  [/Parse Error/i, "no HTTP is spoken there: check the port, and whether it has to be wss:"],
  [/hang up|ECONNRESET/i, "no HTTP answer came: check that the server runs, the port, and whether it has to be wss:"]
]

/** @internal */
export const adviceFor = ({ reason }: SwaggerSocketError): string => {
  if (reason._tag === "HandshakeRefused") {
    return ofRefusals[reason.code] ?? "nothing: the server turns clients away for now"
  }
  if (reason._tag === "LinkError" && /^1011\b/.test(reason.description)) {
    return "see the log of the server, which has failed"
  }
  if (reason._tag !== "LinkError" || reason.phase !== "open") {
    return "see the log of the server, or of a proxy before it: one of them ends connections"
  }
  const found = ofLinks.find(([text]) => text.test(reason.description))
  // Browsers do not say why a socket could not be opened.
  return found?.[1] ?? `${elsewhere}, and that the server allows this origin`
}
