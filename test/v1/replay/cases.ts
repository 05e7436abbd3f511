/**
 * What is played: for each transcript the end that dialled, against our server, and the end that was dialled, against our
 * client. Nothing is said of what goes as it went.
 */
import type { Play } from "./player.ts"

/** Why an end is not played. */
type Excluded = string

export interface Case {
  readonly server?: Play | Excluded
  /** Several are played one after the other, each to a client of its own. */
  readonly client?: Play | ReadonlyArray<Play> | Excluded
}

const violated = (code: string): NonNullable<Play["ends"]> => ({
  1: { _tag: "ConnectionFailure", reason: "ProtocolViolation", code }
})

const badHandshake = (code = "HANDSHAKE_INVALID", close = 4100): Play => ({
  closes: { 1: close },
  ends: { 1: { _tag: "ConnectionAttemptFailed", reason: "HandshakeRefused", code } }
})

/**
 * Go loses the answer to a request when another one follows, and ours sends none before it has the answer. The next answer
 * in place of the one that is awaited must not reach the wrong caller.
 */
const lostAnswer: Play = { closes: { 1: 4001 }, ends: violated("PROTOCOL_ERROR") }

/** The same in the middle of a body. */
const lostBody: Play = { closes: { 1: 4010 }, ends: violated("MALFORMED") }

/** Long enough for handlers that are not late. */
const soon = { v1ResponseTimeout: "300 millis" } as const

export const cases: Readonly<Record<string, Case>> = {
  // --- Go with Go ---------------------------------------------------------------------------------------------------
  "ss-02-meta-string": {},
  "ss-03-meta-object": {},
  "ss-04-goserver-calls-goclient": {},
  "ss-05-head": {},
  "ss-06-concurrent-goclient-to-goserver": { client: lostAnswer },
  "ss-07-concurrent-chunked": { client: lostBody },
  "ss-08-server-closes-apiserver": {},
  "ss-09-keepalive-both": { server: { heartbeat: "answered" }, client: { heartbeat: "answered" } },
  "ss-10-keepalive-noappdata": { server: { heartbeat: "answered" } },
  "ss-11-slow-12s": {
    server: { limits: soon, statuses: { "da158be8-605b-472f-aba0-510930523306": 504 } },
    client: lostAnswer
  },
  "ss-12-doubleflush": {},
  // The process of Go's server ends: later attempts find nobody who listens.
  "ss-13-handler-panic": { server: { connections: [1] }, client: { connections: [1] } },
  "ss-14-no-correlation": {
    server: "nothing is sent: Go's caller refuses a request without an id by itself, and never finds a server",
    client: "nothing is sent: there is no server"
  },
  "ss-15-go-to-go-post-2000": {},
  "ss-16-server-posts-5000-to-client": {},

  // --- Go's server, with a program that tries it out ----------------------------------------------------------------
  "raw-binary-opcode-request": {},
  "raw-client-close-1000": {},
  "raw-client-close-1001": {},
  "raw-client-close-4000": {},
  "raw-client-close-during-response": { server: { leaves: true } },
  "raw-client-close-nocode": {},
  "raw-client-tcp-drop": {},
  "raw-client-tcp-drop-keepalive": {},
  "raw-concurrent-chunked-interleave": { client: lostBody },
  "raw-concurrent-fast-first": { client: lostAnswer },
  "raw-concurrent-slow": { client: lostAnswer },
  "raw-connection-close-header": {},
  "raw-empty-message": {},
  "raw-expect-continue": {},
  "raw-hs-binary-and-lowercase-keys": {},
  "raw-hs-client-vanishes": {},
  "raw-hs-missing-meta": {},
  "raw-hs-not-json": { server: badHandshake() },
  "raw-hs-wrong-ack": { server: badHandshake() },
  "raw-hs-wrong-type": {
    server: badHandshake(),
    // Go's server hangs, and is found again.
    client: { ...badHandshake("HANDSHAKE_TIMEOUT", 4101), limits: { handshakeTimeout: "500 millis" } }
  },
  "raw-http10-request": { client: { closes: { 1: 4010 }, ends: violated("MALFORMED") } },
  "raw-leading-crlf": {},
  "raw-lowercase-method-bare-lf-lower-header": {},
  "raw-malformed-request": { server: { malformed: 1 } },
  "raw-no-correlation": {},
  "raw-no-host-header": {},
  "raw-ping-idle-api-client": { client: { heartbeat: "unanswered" } },
  "raw-ping-idle-api-server": {},
  "raw-post-body-chunked": { client: [{ connections: [1] }, { connections: [2] }, { connections: [3] }] },
  "raw-request-fragmented-frames": {},
  "raw-request-split-head": {},
  "raw-request-split-head-body": {},
  "raw-server-close": {},
  "raw-server-close-with-handler-running": { server: { leaves: true } },
  // Go does not see the second one, and ours would not go on before it is answered.
  "raw-two-requests-one-message": { client: { skips: ["corr-2"] } },
  "raw-upgrade-deflate-offer-and-path": {},
  "raw-upgrade-origin": {},
  // A subprotocol that is not known here is not ignored.
  "raw-upgrade-subprotocol": { server: { upgrade: 400 }, client: { discovers: true } },

  // --- Go's client, with a program that tries it out ----------------------------------------------------------------
  "raw-goclient-close-in-handshake": {},
  "raw-goclient-empty-connection-id": { client: lostAnswer },
  "raw-goclient-handler-serving-then-close-frame-nocode": {},
  "raw-goclient-http-403": {
    server: "nothing but upgrade requests, as all other transcripts have: there is no reason for 403"
  },
  "raw-goclient-not-json": { client: badHandshake() },
  "raw-goclient-ping-idle-api-client": { server: { heartbeat: "unanswered" } },
  "raw-goclient-ping-idle-api-server": { server: { heartbeat: "answered" } },
  "raw-goclient-server-close-1000-apiserver": {},
  "raw-goclient-server-close-1000-apiserver-keepalive": {},
  // Go's client comes back once more while it is connected.
  "raw-goclient-server-tcp-drop-apiclient-waiting": { client: { connections: [1, 2] } },
  "raw-goclient-server-tcp-drop-apiserver-keepalive": {},
  "raw-goclient-server-tcp-drop-apiserver-nokeepalive": {},
  "raw-goclient-wrong-type": { client: badHandshake() },

  // --- Go's server calls a program that tries it out ------------------------------------------------------------------
  "raw-goclientapi-204-and-304": {},
  "raw-goclientapi-binary-opcode": {},
  "raw-goclientapi-chunk-boundaries-anywhere": {},
  "raw-goclientapi-chunked-terminator-crlf-in-next-message": {},
  "raw-goclientapi-concurrent-in-order": {},
  "raw-goclientapi-concurrent-out-of-order": { server: { ends: violated("PROTOCOL_ERROR") } },
  "raw-goclientapi-empty-message-after": {},
  "raw-goclientapi-empty-message-before": {},
  "raw-goclientapi-empty-message-middle": {},
  "raw-goclientapi-head-body-split": {},
  "raw-goclientapi-head-with-content-length": {},
  "raw-goclientapi-head-with-content-length-0": {},
  "raw-goclientapi-interim-100": {},
  "raw-goclientapi-large-1MB": {},
  "raw-goclientapi-large-post-to-peer": {},
  "raw-goclientapi-lowercase-headers": {},
  "raw-goclientapi-malformed-response": {
    server: { ends: violated("MALFORMED"), skips: ["71a83156-05f8-400c-ad30-eb870a342fba"] }
  },
  "raw-goclientapi-no-correlation": {},
  "raw-goclientapi-no-length-no-te": {
    server: { ends: violated("MALFORMED"), skips: ["f26b881d-c820-4d03-aff6-fb52e3dbba4b"] }
  },
  "raw-goclientapi-no-reason-phrase": {},
  "raw-goclientapi-peer-close-1000-while-waiting": { client: { holds: true } },
  "raw-goclientapi-peer-close-1001-while-waiting": { client: { holds: true } },
  "raw-goclientapi-peer-tcp-drop-while-waiting": { client: { holds: true } },
  "raw-goclientapi-ping-while-waiting-and-idle": {},
  "raw-goclientapi-plain": {},
  // Go's process would not survive the answer that came.
  "raw-goclientapi-slow-11s": {
    client: { holds: true, limits: soon, statuses: { "a8f4f63f-27e6-48ed-afce-6bb18c84959e": 504 } }
  },
  "raw-goclientapi-trailing-crlf-own-message": {},
  "raw-goclientapi-trailing-crlf-same-message": {},
  "raw-goclientapi-wrong-correlation": { server: { ends: violated("PROTOCOL_ERROR") } }
}
