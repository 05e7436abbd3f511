/**
 * What is the same in two recordings of one conversation: times, ids and tokens are not, nor is how JSON is spaced and
 * escaped.
 */
import { assert } from "@effect/vitest"
import type { Received } from "../../v1/replay/goPeer.ts"
import { type Message, statusOf, valuesOf } from "../../v1/replay/http1.ts"

const normal = (value: unknown): unknown => {
  if (typeof value === "string") {
    return value.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "(time)").replace(
      /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{43}$/,
      "(token)"
    )
  }
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, value]) => [key, key === "id" ? "(id)" : normal(value)])
  )
}

const same = (actual: string, expected: string, about: string): void =>
  assert.deepStrictEqual(normal(JSON.parse(actual)), normal(JSON.parse(expected)), about)

/** A message as goa sends it. */
export const sameMessage = ({ data, isText }: Received, expected: Buffer, about: string): void => {
  const text = data.toString()
  assert.isTrue(isText, about)
  assert.match(text, /^[^\n]+\n$/, about)
  same(text, expected.toString(), about)
}

/** Fields that goa's clients look at, and those that a WebSocket depends on. */
const fields = ["content-type", "goa-error", "goa-view", "allow", "sec-websocket-protocol", "sec-websocket-extensions"]

const withoutTimes = (text: string): string => text.replaceAll(/"\d{4}-\d\d-\d\dT[^"]+"/g, "(time)")

export const sameResponse = (actual: Message, expected: Message, about: string): void => {
  assert.strictEqual(statusOf(actual), statusOf(expected), about)
  for (const field of fields) {
    assert.deepStrictEqual(valuesOf(actual, field), valuesOf(expected, field), `${about}: ${field}`)
  }
  const [accept] = valuesOf(expected, "sec-websocket-accept")
  if (accept !== undefined) assert.deepStrictEqual(valuesOf(actual, "sec-websocket-accept"), [accept])
  const body = expected.body.toString()
  if (valuesOf(expected, "content-type")[0] === "application/json") same(actual.body.toString(), body, about)
  else assert.strictEqual(withoutTimes(actual.body.toString()), withoutTimes(body), about)
}
