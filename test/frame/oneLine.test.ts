/**
 * Text of a peer in the message of an error.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  ConnectionClosed,
  ConnectionLost,
  HandshakeRefused,
  LinkError,
  ProtocolViolation,
  StreamReset,
  SwaggerSocketError
} from "effect-swaggersocket/SwaggerSocketError"

const forged = "a\r\n\u001b[31mb\u0085\u2029c"
const shown = "a%0D%0A%1B[31mb%C2%85%E2%80%A9c"

describe("text of a peer in the message of an error", () => {
  const initiator = "remote"
  const reasons = [
    new LinkError({ phase: "read", description: forged }),
    new HandshakeRefused({ initiator, code: "FORBIDDEN", description: forged, retry: false }),
    // A member of the metadata that the client has named.
    new HandshakeRefused({
      initiator,
      code: "METADATA_INVALID",
      description: "",
      retry: false,
      path: ["tags", forged]
    }),
    new ProtocolViolation({ initiator, code: "INTERNAL_ERROR", description: forged }),
    new ConnectionClosed({ initiator, code: 4500, closeReason: forged }),
    new StreamReset({ initiator, code: "INTERNAL_ERROR", description: forged, outcome: "unknown" }),
    new ConnectionLost({ description: forged, outcome: "unknown" })
  ]
  for (const [index, reason] of reasons.entries()) {
    it(`control characters of a peer's text are escaped in the message of ${reason._tag}, ${index + 1}`, () => {
      for (const { message } of [reason, new SwaggerSocketError({ reason })]) {
        assert.include(message, shown)
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(message, /[\0-\x1f\x7f-\x9f\u2028\u2029]/)
      }
    })
  }

  it("a message quotes a thousand characters at most, and other text as it is", () => {
    const quoting = (closeReason: string) => new ConnectionClosed({ initiator, code: 4500, closeReason }).message
    assert.isBelow(quoting("x".repeat(100_000)).length, 1100)
    assert.include(quoting("schöne Grüße, 再见 👋"), "schöne Grüße, 再见 👋")
  })
})
