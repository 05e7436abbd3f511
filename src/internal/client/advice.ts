/**
 * What to check when a client can't connect, for the log.
 */
import * as Context from "effect/Context"
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

/** What to check, by the descriptions of failures. @internal */
export type Advice = ReadonlyArray<readonly [description: RegExp, advice: string]>

const ofLinks: Advice = [
  [/^(?:url|headers|metadata|the client) (?:failed|was)/, "look at what the client is made with"],
  [/^timeout waiting/, nobodyAnswers]
]

/**
 * The same for what the WebSockets of a platform say when they can't be opened. Empty by default: browsers do not say why.
 *
 * @internal
 */
export const PlatformAdvice: Context.Reference<Advice> = Context.Reference(
  "effect-swaggersocket/internal/client/PlatformAdvice",
  { defaultValue: (): Advice => [] }
)

/** @internal */
export const adviceFor = ({ reason }: SwaggerSocketError, ofPlatform: Advice): string => {
  if (reason._tag === "HandshakeRefused") {
    return ofRefusals[reason.code] ?? "nothing: the server turns clients away for now"
  }
  if (reason._tag === "LinkError" && /^1011\b/.test(reason.description)) {
    return "see the log of the server, which has failed"
  }
  if (reason._tag !== "LinkError" || reason.phase !== "open") {
    return "see the log of the server, or of a proxy before it: one of them ends connections"
  }
  const found = [...ofLinks, ...ofPlatform].find(([text]) => text.test(reason.description))
  return found?.[1] ?? `${elsewhere}, and that the server allows this origin`
}
