/**
 * Rules for heads: methods, fields and sizes (PROTOCOL.md, "Heads" and "Field rules").
 */
import { beyondAscii, utf8Length } from "./bytes.ts"
import type { Fields } from "./Frame.ts"
import { fieldNamePattern, forbiddenInValue, methodPattern } from "./grammar.ts"
import { entryOverhead } from "./headTable.ts"

/** @internal */
export const isMethod = (method: string): boolean => methodPattern.test(method) && method !== "CONNECT"

/** A reason quotes no more of a name: entries of the table keep it, and names have the size of a frame. */
const maxQuoted = 64

/** What is wrong with the name of a field. @internal */
export const nameFault = (name: string): string | undefined =>
  fieldNamePattern.test(name)
    ? undefined
    : `the field name ${JSON.stringify(name.slice(0, maxQuoted))} is not a token in lower case of 1 to 256 bytes`

/** What is wrong with the value of a field that matches `forbiddenInValue`. @internal */
export const valueFault = (name: string): string => `the value of ${name} contains CR, LF or NUL`

/** What is wrong with a field, by PROTOCOL.md "Field rules". @internal */
export const fieldFault = (name: string, value: string): string | undefined =>
  nameFault(name) ?? (forbiddenInValue.test(value) ? valueFault(name) : undefined)

/** Bytes of a head by the measure of the `maxHeadSize` setting. @internal */
export const headSize = (target: string, fields: Fields): number => {
  let size = target.length
  for (const field of fields) {
    const value = field[1]
    size += field[0].length + (beyondAscii.test(value) ? utf8Length(value) : value.length) + entryOverhead
  }
  return size
}
