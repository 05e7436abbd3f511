/**
 * What ours has to have done when a transcript was played.
 */
import { assert } from "@effect/vitest"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { reasonOf } from "../../support/clientUnderAttack.ts"
import { until } from "../../support/waiting.ts"
import { answerOf } from "./api.ts"
import type { Conversation, End } from "./conversation.ts"
import { type Message, methodOf, statusOf, targetOf, valuesOf } from "./http1.ts"
import type { Play } from "./player.ts"

/** A response that Go can take, and that says what it should. */
const checkAnswer = (
  request: Message,
  answer: Message,
  expected: { readonly status: number; readonly body?: string | undefined }
): void => {
  const about = `the answer to ${request.start}`
  assert.match(answer.start, /^HTTP\/1\.1 \d{3}( .*)?$/, about)
  assert.strictEqual(statusOf(answer), expected.status, about)
  assert.deepStrictEqual(valuesOf(answer, "x-correlation-id"), request.id === undefined ? [] : [request.id], about)
  const lengths = valuesOf(answer, "content-length")
  const encodings = valuesOf(answer, "transfer-encoding")
  if (expected.status === 204 || expected.status === 304) assert.deepStrictEqual([...lengths, ...encodings], [], about)
  else if (methodOf(request) === "HEAD") assert.deepStrictEqual([...lengths, ...encodings], ["0"], about)
  else assert.lengthOf([...lengths, ...encodings], 1, `${about} tells where it ends, once`)
  if (expected.body === undefined) return
  const body = methodOf(request) === "HEAD" ? "" : expected.body
  assert.strictEqual(answer.body.toString("latin1"), Buffer.from(body).toString("latin1"), about)
}

/** A request that Go can take. */
const checkRequest = (recorded: Message, request: Message): void => {
  assert.match(request.start, /^[A-Z]+ \/\S* HTTP\/1\.1$/)
  assert.strictEqual(methodOf(request), methodOf(recorded).toUpperCase())
  assert.strictEqual(targetOf(request), targetOf(recorded))
  assert.lengthOf(valuesOf(request, "x-correlation-id"), 1)
  assert.deepStrictEqual(valuesOf(request, "transfer-encoding"), [])
  assert.isTrue(request.body.equals(recorded.body), `the body of ${request.start}`)
  assert.isTrue(request.whole)
}

/** What is served for a request. */
const expectedOf = (request: Message): { readonly status: number; readonly body: string } =>
  answerOf({
    method: methodOf(request),
    target: targetOf(request),
    host: valuesOf(request, "host")[0] ?? "",
    body: request.body
  })

/** What is served here is what Go's programs had served, unless they had cut the request. */
const checkServed = (request: Message, recorded: Message): void => {
  const expected = expectedOf(request)
  const given = recorded.body.toString()
  assert.strictEqual(statusOf(recorded), expected.status)
  if (methodOf(request) === "HEAD" || given.includes("unexpected EOF")) return
  if (targetOf(request) !== "/echo") return assert.strictEqual(given, expected.body)
  const echoed = JSON.parse(given) as Record<string, unknown>
  const ours = JSON.parse(expected.body) as Record<string, unknown>
  assert.deepStrictEqual(Object.fromEntries(Object.keys(ours).map((key) => [key, echoed[key]])), ours)
}

export const checkAnswers = (conversation: Conversation, play: Play, isGo: boolean): void => {
  const { ours, played, recorded } = conversation
  const { holds, leaves, malformed = 0, statuses = {} } = play
  for (const [index, answer] of recorded.responses.messages.entries()) {
    const request = played.requests.messages.find(({ id }) => id === answer.id) ?? played.requests.messages[index]
    if (isGo && request !== undefined && answer.whole) checkServed(request, answer)
  }
  for (const request of played.requests.messages) {
    const { id = "" } = request
    const answer = conversation.answerTo(request)
    if (leaves === true) {
      assert.isFalse(answer?.whole === true)
      continue
    }
    if (holds === true && statuses[id] === undefined) {
      assert.isUndefined(answer)
      continue
    }
    assert.isTrue(answer?.whole, `the answer to ${request.start}`)
    checkAnswer(request, answer!, statuses[id] === undefined ? expectedOf(request) : { status: statuses[id] })
  }
  if (holds === true || leaves === true) return
  const others = ours.responses.messages.filter((answer) =>
    !played.requests.messages.some((request) => conversation.answerTo(request) === answer)
  )
  assert.deepStrictEqual(others.map(statusOf), Array.from({ length: malformed }, () => 400))
}

/** What belongs to a message and not to its content. */
const framing = new Set(["content-length", "transfer-encoding", "connection", "trailer"])

/** With a violation all fail that are not complete, whatever the peer has sent. */
export const checkCalls = Effect.fnUntraced(function*(conversation: Conversation, violated: boolean) {
  for (const { made, request } of conversation.calls) {
    const given = conversation.givenTo(made)
    const arrived = conversation.requestOf(made)
    const about = request.start
    if (conversation.refused.has(made)) {
      assert.isUndefined(arrived)
      const { exit } = made
      const reason = reasonOf(exit!)
      assert.deepInclude(reason, { _tag: "StreamReset", code: "FRAME_SIZE_ERROR", outcome: "not-sent" }, about)
      continue
    }
    if (arrived !== undefined) checkRequest(request, arrived)
    yield* until(`the call ends: ${about}`, () => made.exit !== undefined)
    if (made.status !== undefined) {
      assert.strictEqual(made.status, statusOf(given!), about)
      for (const [name] of given!.fields) {
        if (!framing.has(name)) {
          assert.strictEqual(made.headers[name], valuesOf(given!, name).at(-1), `${about}: ${name}`)
        }
      }
      assert.isTrue(given!.body.subarray(0, made.body.length).equals(made.body), `the body for ${about}`)
    }
    if (Exit.isSuccess(made.exit!)) {
      assert.isTrue(given?.whole, `${about} was answered`)
      assert.strictEqual(made.body.length, given!.body.length)
      continue
    }
    assert.isTrue(violated || given?.whole !== true, `${about} was answered, and failed`)
    const reason = reasonOf(made.exit!)
    assert.deepInclude(
      reason,
      { _tag: "ConnectionLost", outcome: arrived === undefined ? "not-sent" : "unknown" },
      about
    )
  }
})

export const checkEnd = Effect.fnUntraced(function*(
  events: () => ReadonlyArray<ConnectionEvent.ConnectionEvent>,
  { connectionId, greeted, metadata }: Conversation,
  end: End | undefined,
  /** How many attempts have failed before, or how many connections had the same id. */
  before: number
) {
  const isFailedAttempt = end?._tag === "ConnectionAttemptFailed"
  const own = () => {
    const all = events().filter((event) =>
      isFailedAttempt
        ? event._tag === "ConnectionAttemptFailed"
        : "connectionId" in event && (connectionId === undefined || event.connectionId === connectionId)
    )
    return all.slice(isFailedAttempt ? before : before * 2)
  }
  if (!greeted) assert.isFalse(events().some((event) => "connectionId" in event && event.connectionId === connectionId))
  if (greeted) {
    yield* until("the event ConnectionReceived", () => own().length > 0)
    assert.deepInclude(own()[0], { _tag: "ConnectionReceived", wire: "v1" })
  }
  if (end === undefined) return
  const at = greeted ? 1 : 0
  yield* until(`the event ${end._tag}`, () => own().length > at)
  const event = own()[at]!
  assert.strictEqual(event._tag, end._tag)
  if ("metadata" in event) assert.deepStrictEqual(event.metadata ?? null, metadata)
  if (end._tag === "ConnectionClosed") {
    assert.deepInclude(event, end)
  } else if ("error" in event) {
    const { reason } = event.error
    assert.strictEqual(reason._tag, end.reason, event.error.message)
    if (end.code !== undefined) assert.strictEqual("code" in reason ? String(reason.code) : undefined, end.code)
  }
  // No second end, and nothing behind it.
  if (!isFailedAttempt) assert.notInclude(["ConnectionClosed", "ConnectionFailure"], own()[2]?._tag)
})
