/**
 * Values in the steps of traces: what a runner knows only while it runs, and how what a peer has sent is compared with what it should
 * have sent.
 */
import * as Predicate from "effect/Predicate"
import { ErrorCode } from "../../frame/codes.ts"
import type { Decoded, Frame } from "../../frame/Frame.ts"

type Json = Readonly<Record<string, unknown>>

/** Replaces each `{ "var": name, "plus": n }` by the variable of that name. @internal */
export const filled = (value: unknown, variables: Json): unknown => {
  if (Array.isArray(value)) return value.map((element) => filled(element, variables))
  if (!Predicate.isObject(value)) return value
  const object = value as Json
  if (typeof object.var === "string") {
    const found = variables[object.var]
    return typeof object.plus === "number" ? Number(found) + object.plus : found
  }
  return Object.fromEntries(Object.entries(object).map(([name, member]) => [name, filled(member, variables)]))
}

/** Whether a value has all that a pattern has: members of objects, elements of arrays in their places. @internal */
export const matches = (value: unknown, pattern: unknown): boolean => {
  if (Array.isArray(pattern)) {
    return Array.isArray(value) && pattern.length === value.length &&
      pattern.every((element, index) => matches(value[index], element))
  }
  if (!Predicate.isObject(pattern)) return Object.is(value, pattern)
  const object = pattern as Json
  if (typeof object.atLeast === "number") return typeof value === "number" && value >= object.atLeast
  if (typeof object.is === "string") return typeof value === object.is
  return Predicate.isObject(value) &&
    Object.entries(object).every(([name, member]) =>
      member === null ? !(name in value) || (value as Json)[name] === null : matches((value as Json)[name], member)
    )
}

/** The id of a stream: the count of the runner from 1 up, that of the peer from -1 down. */
const streamId = (stream: number, role: "client" | "server"): number => {
  const isOdd = stream > 0 === (role === "client")
  return Math.abs(stream) * 2 - (isOdd ? 1 : 0)
}

const bytesOf = (data: unknown): Uint8Array =>
  typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(typeof data === "number" ? data : 0)

/** A frame as a trace writes it: defaults for what it leaves out, streams by their numbers, data as text or a number of bytes. @internal */
export const frameOf = (written: Json, role: "client" | "server"): Frame => {
  const { code, data, stream, ...rest } = written
  return {
    ...defaults[rest._tag as string],
    ...rest,
    ...(stream === undefined ? undefined : { streamId: streamId(Number(stream), role) }),
    ...(code === undefined ? undefined : { code: ErrorCode[code as keyof typeof ErrorCode] ?? code }),
    ...(["Data", "Ping", "Pong"].includes(rest._tag as string) ? { data: bytesOf(data) } : undefined)
  } as unknown as Frame
}

const defaults: Readonly<Record<string, Json>> = {
  Request: { end: true, method: "GET", fields: [] },
  Response: { end: false, fields: [] },
  Data: { end: false },
  Reset: { reason: "" },
  GoAway: { reason: "" }
}

/** A frame of a peer as traces write it. @internal */
export const written = (frame: Decoded, role: "client" | "server"): Json => ({
  ...frame,
  ..."data" in frame ? { data: new TextDecoder().decode(frame.data) } : undefined,
  ..."code" in frame ? { code: nameOf(frame.code) } : undefined,
  ..."streamId" in frame && frame.streamId > 0 ? { stream: streamNumber(frame.streamId, role) } : undefined
})

const nameOf = (code: number): string | number =>
  Object.entries(ErrorCode).find(([, number]) => number === code)?.[0] ?? code

const streamNumber = (id: number, role: "client" | "server"): number => {
  const number = Math.ceil(id / 2)
  return (id % 2 === 1) === (role === "client") ? number : -number
}
