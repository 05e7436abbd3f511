/**
 * Coding of methods, targets and fields: the payload of REQUEST and RESPONSE (PROTOCOL.md, "Heads").
 */
import { type ByteReader, type ByteWriter, utf8Length } from "./bytes.ts"
import { ErrorCode, type Violation, violation } from "./errorCode.ts"
import type { Fields } from "./Frame.ts"
import { fieldNamePattern, maxTargetLength, methodPattern, targetPattern, transportFields } from "./grammar.ts"
import {
  type DecodeTable,
  type EncodeTable,
  type Entry,
  entryOverhead,
  type Field,
  type Name,
  staticName
} from "./headTable.ts"

/** Byte 1-9; 0 is a method written out. */
const methods = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"]
const methodBytes = new Map(methods.map((method, byte) => [method, byte]))
// oxlint-disable-next-line no-control-regex
const valueForbidden = /[\r\n\0]/

/** @internal */
export const isMethod = (method: string): boolean => methodPattern.test(method) && method !== "CONNECT"

/** @internal */
export const isTarget = (target: string): boolean => target.length <= maxTargetLength && targetPattern.test(target)

/** A reason quotes no more of a name: entries of the table keep it, and names have the size of a frame. */
const maxQuoted = 64

const nameFault = (name: string): string | undefined =>
  fieldNamePattern.test(name)
    ? undefined
    : `the field name ${JSON.stringify(name.slice(0, maxQuoted))} is not a token in lower case of 1 to 256 bytes`

const valueFault = (name: string, value: string): string | undefined =>
  valueForbidden.test(value) ? `the value of ${name} contains CR, LF or NUL` : undefined

/** What is wrong with a field, by PROTOCOL.md "Field rules". @internal */
export const fieldFault = (name: string, value: string, knownName = false): string | undefined =>
  (knownName ? undefined : nameFault(name)) ?? valueFault(name, value)

/** Bytes of a head by the measure of the `maxHeadSize` setting. @internal */
export const headSize = (target: string, fields: Fields): number => {
  let size = target.length
  for (const field of fields) size += field[0].length + utf8Length(field[1]) + entryOverhead
  return size
}

/** @internal */
export const encodeMethod = (writer: ByteWriter, method: string): void => {
  const byte = methodBytes.get(method)
  if (byte !== undefined && byte > 0) {
    writer.u8(byte)
  } else {
    writer.u8(0)
    writer.string(method)
  }
}

/** Any string is a method here; `isMethod` tells which may be used. @internal */
export const decodeMethod = (reader: ByteReader): string => {
  const byte = reader.u8()
  if (byte === 0) return reader.string()
  const method = methods[byte]
  if (method === undefined) reader.fail(ErrorCode.PROTOCOL_ERROR, `the unknown method ${byte}`)
  return method ?? ""
}

const indexed = 0x80
const added = 0x40
/** Name index that says: the name, or a larger index, follows. */
const nameFollows = 63
const indexFollows = 127

/** @internal */
export const encodeFields = (writer: ByteWriter, fields: Fields, table: EncodeTable): void => {
  for (const field of fields) {
    const name = field[0]
    const value = field[1]
    const index = table.find(name, value)
    if (index !== undefined) {
      if (index < indexFollows) {
        writer.u8(indexed | index)
      } else {
        writer.u8(indexed | indexFollows)
        writer.varint(index - indexFollows)
      }
      continue
    }
    const start = writer.length
    const nameIndex = staticName(name)
    let nameBytes = name.length
    if (nameIndex !== undefined) {
      writer.u8(nameIndex)
    } else {
      writer.u8(nameFollows)
      writer.varint(0)
      nameBytes = writer.string(name)
    }
    const valueBytes = writer.string(value)
    if (table.add(field, nameBytes, valueBytes)) writer.setBits(start, added)
  }
}

/**
 * A head as far as it was decoded. It holds no more fields than `maxSize` allows, whatever they expand to.
 *
 * @internal
 */
export class DecodedHead {
  readonly fields: Array<Field> = []
  readonly maxSize: number
  size: number
  /** What the head says that is forbidden. */
  fault: string | undefined = undefined

  /** `size`: the bytes of a request's target. */
  constructor(maxSize: number, size: number) {
    this.maxSize = maxSize
    this.size = size
  }

  add(name: Name, field: Field, size: number, fault: string | undefined): void {
    this.size += size
    if (fault !== undefined) this.fault ??= fault
    if (!name.dropped && this.fault === undefined && this.size <= this.maxSize) this.fields.push(field)
  }

  /** Why the stream of this head is reset. */
  get violation(): Violation | undefined {
    if (this.fault !== undefined) return violation(ErrorCode.MALFORMED, this.fault)
    return this.size > this.maxSize
      ? violation(ErrorCode.HEAD_TOO_LARGE, `the head has ${this.size} bytes, the limit is ${this.maxSize}`)
      : undefined
  }
}

/**
 * Decodes fields up to the end of the reader, to the last one even when the head is spoilt, so that the table stays in
 * step with the peer's. A violation of the connection is left in the reader, and the head is then worthless.
 *
 * @internal
 */
export const decodeFields = (reader: ByteReader, table: DecodeTable, head: DecodedHead): void => {
  while (reader.at < reader.end) {
    const first = reader.u8()
    if (first & indexed) {
      let index = first & 0x7f
      if (index === indexFollows) index += reader.varint()
      const entry = find(reader, table, index)
      if (entry === undefined) return
      head.add(entry.name, entry.field, entry.size, entry.fault)
      continue
    }
    const name = decodeName(first & 0x3f, reader, table)
    if (name === undefined) return
    const valueBytes = reader.varint()
    const value = reader.text(valueBytes)
    const field: Field = [name.text, value]
    const size = name.bytes + valueBytes + entryOverhead
    const fault = name.fault ?? valueFault(name.text, value)
    if (first & added) table.add(name, field, size, fault)
    head.add(name, field, size, fault)
  }
}

const find = (reader: ByteReader, table: DecodeTable, index: number): Entry | undefined => {
  const entry = table.get(index)
  if (entry === undefined) reader.fail(ErrorCode.HEAD_TABLE_ERROR, `the head table has no entry ${index}`)
  return entry
}

const decodeName = (index: number, reader: ByteReader, table: DecodeTable): Name | undefined => {
  if (index < nameFollows) return find(reader, table, index)?.name
  const more = reader.varint()
  if (more > 0) return find(reader, table, nameFollows - 1 + more)?.name
  const bytes = reader.varint()
  const text = reader.text(bytes)
  return reader.failed === undefined
    ? { text, bytes, fault: nameFault(text), dropped: transportFields.has(text) }
    : undefined
}
