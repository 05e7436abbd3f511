/**
 * Converts fields between Effect's HTTP messages and heads of the wire (PROTOCOL.md, "Field rules").
 */
import * as Headers from "effect/http/Headers"
import type { Fields } from "../frame/Frame.ts"
import { transportFields } from "../frame/grammar.ts"
import { fieldFault } from "../frame/head.ts"
import type { Field } from "../frame/headTable.ts"

/** Names that were found valid. Programs use few names, so most fields need no validation of theirs. */
const knownNames = new Set<string>()
const maxKnownNames = 512

/**
 * Invalid in a value by RFC 9110 section 5.5. A receiver may accept harmless ones, but a Go server stops reading at a message
 * with one, and answers no further call.
 */
// oxlint-disable-next-line no-control-regex
const controlCharacter = /[\0-\x08\x0a-\x1f\x7f]/

const faultOf = (name: string, value: string): string | undefined => {
  const isControlled = controlCharacter.test(value)
  if (!isControlled && knownNames.has(name)) return undefined
  const fault = fieldFault(name, value) ??
    (isControlled ? `the value of ${name} contains a control character` : undefined)
  if (fault === undefined && knownNames.size < maxKnownNames) knownNames.add(name)
  return fault
}

/**
 * The fields of a message, or a text that says which one is invalid. `kept`: a field of transports that is not left out.
 *
 * @internal
 */
export const toFields = (
  headers: Headers.Headers,
  setCookies?: ReadonlyArray<string>,
  kept?: string
): Array<Field> | string => {
  const fields: Array<Field> = []
  for (const name in headers) {
    if (transportFields.has(name) && name !== kept) continue
    const value = headers[name]!
    const fault = faultOf(name, value)
    if (fault !== undefined) return fault
    fields.push([name, value])
  }
  if (setCookies !== undefined) {
    for (const value of setCookies) {
      const fault = faultOf("set-cookie", value)
      if (fault !== undefined) return fault
      fields.push(["set-cookie", value])
    }
  }
  return fields
}

// The prototype of Effect's `Headers`, taken from `Headers.empty`.
const prototype: object = Object.getPrototypeOf(Headers.empty)

/** The `set-cookie` fields of headers: `Headers` have one value for each name, and several cookies can't be joined to one. */
const setCookies = new WeakMap<Headers.Headers, ReadonlyArray<string>>()

/** Fields as headers. Repeated fields are joined by RFC 9110 section 5.3, and `cookie` by RFC 9113 section 8.2.3. @internal */
export const toHeaders = (fields: Fields): Headers.Headers => {
  const headers: Record<string, string> = Object.create(prototype)
  for (const field of fields) {
    const name = field[0]
    const existing = headers[name]
    headers[name] = existing === undefined ? field[1] : `${existing}${name === "cookie" ? "; " : ", "}${field[1]}`
  }
  if (headers["set-cookie"] !== undefined) setCookies.set(headers as Headers.Headers, setCookiesOf(fields))
  return headers as Headers.Headers
}

/** The single `set-cookie` fields of headers that were made from fields. @internal */
export const setCookiesIn = (headers: Headers.Headers): ReadonlyArray<string> | undefined => setCookies.get(headers)

/** @internal */
export const setCookiesOf = (fields: Fields): Array<string> => {
  const values: Array<string> = []
  for (const field of fields) if (field[0] === "set-cookie") values.push(field[1])
  return values
}

/** What ends the host of a URL, or begins another one. */
const notInHost = /[\s/?#@\\,]/

/**
 * What is wrong with the host of a request. Handlers see URLs that begin with it: a host such as `device/admin/` would change
 * their path.
 *
 * @internal
 */
export const hostFault = (fields: Fields): string | undefined => {
  const hosts = fields.filter(([name]) => name === "host")
  return hosts.length > 1 || hosts.some(([, host]) => notInHost.test(host)) ? "the host is invalid" : undefined
}

/**
 * The declared length of a message, or a text that says why it is invalid (RFC 9110 section 8.6).
 *
 * @internal
 */
export const contentLengthOf = (fields: Fields): number | undefined | string => {
  let declared: string | undefined = undefined
  for (const field of fields) {
    if (field[0] !== "content-length") continue
    if (declared !== undefined) return "content-length is given twice"
    declared = field[1]
  }
  if (declared === undefined) return undefined
  const length = /^\d+$/.test(declared) ? Number(declared) : NaN
  return Number.isSafeInteger(length) ? length : `content-length is not a number: ${JSON.stringify(declared)}`
}
