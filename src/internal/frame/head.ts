/**
 * Coding of methods, targets and fields: the payload of REQUEST and RESPONSE (PROTOCOL.md, "Fields").
 */
import { type ByteReader, type ByteWriter, utf8Length } from "./bytes.ts"
import { ErrorCode, type Violation, violation } from "./errorCode.ts"
import { type Fields, maxTargetLength } from "./Frame.ts"
import { type DecodeTable, type EncodeTable, entryOverhead, type Field, staticName } from "./headTable.ts"

/** Byte 1-9; 0 is a method written out. */
const methods = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"]
const methodBytes = new Map(methods.map((method, byte) => [method, byte]))
const maxMethodLength = 32

const methodToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
const targetForm = /^(?:\/[\x21\x22\x24-\x7e]*|\*)$/
const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/
// oxlint-disable-next-line no-control-regex
const fieldValueForbidden = /[\r\n\0]/

/** @internal */
export const isMethod = (method: string): boolean => methodToken.test(method) && method !== "CONNECT"

/** @internal */
export const isTarget = (target: string): boolean => target.length <= maxTargetLength && targetForm.test(target)

/** What is wrong with a field, by RFC 9110 section 5 and PROTOCOL.md "Field rules". @internal */
export const fieldFault = (name: string, value: string, knownName = false): string | undefined =>
  !knownName && !fieldName.test(name)
    ? `field name ${JSON.stringify(name)} is not a lower-case token`
    : fieldValueForbidden.test(value)
    ? `the value of field ${name} contains CR, LF or NUL`
    : undefined

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

/** `undefined`: the byte is no method. @internal */
export const decodeMethod = (reader: ByteReader): string | undefined => {
  const byte = reader.u8()
  if (byte > 0) return methods[byte]
  const method = reader.string()
  return method.length > 0 && method.length <= maxMethodLength ? method : undefined
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
 * The result of decoding the fields of one head: a fault concerns its stream, a violation the connection.
 *
 * @internal
 */
export class DecodedFields {
  readonly fields: Array<Field> = []
  size = 0
  fault: Violation | undefined = undefined
}

/**
 * Decodes fields up to the end of the reader, to the last one even when one is at fault, so that the table stays in
 * step with the peer's.
 *
 * @internal
 */
export const decodeFields = (
  reader: ByteReader,
  table: DecodeTable,
  maxSize: number,
  into: DecodedFields
): Violation | undefined => {
  const fields = into.fields
  while (reader.at < reader.end) {
    const first = reader.u8()
    if (first & indexed) {
      let index = first & 0x7f
      if (index === indexFollows) index += reader.varint()
      const entry = table.get(index)
      if (entry === undefined) return violation(ErrorCode.HEAD_TABLE_ERROR, `the head table has no entry ${index}`)
      if (entry.fault !== undefined) into.fault ??= violation(ErrorCode.MALFORMED, entry.fault)
      into.size += entry.size
      if (into.size <= maxSize) fields.push(entry.field)
      continue
    }
    let nameIndex = first & 0x3f
    let name: string
    let nameBytes: number
    const more = nameIndex === nameFollows ? reader.varint() : -1
    if (more === 0) {
      nameBytes = reader.varint()
      name = reader.text(nameBytes)
    } else {
      if (more > 0) nameIndex = nameFollows - 1 + more
      const entry = table.get(nameIndex)
      if (entry === undefined) return violation(ErrorCode.HEAD_TABLE_ERROR, `the head table has no entry ${nameIndex}`)
      name = entry.field[0]
      nameBytes = entry.nameBytes
    }
    const valueBytes = reader.varint()
    const value = reader.text(valueBytes)
    if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
    const field: Field = [name, value]
    const fault = fieldFault(name, value)
    if (fault !== undefined) into.fault ??= violation(ErrorCode.MALFORMED, fault)
    if (first & added) table.add(field, nameBytes, valueBytes, fault)
    into.size += nameBytes + valueBytes + entryOverhead
    if (into.size <= maxSize) fields.push(field)
  }
  if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
  if (into.size > maxSize && into.fault === undefined) {
    into.fault = violation(ErrorCode.HEAD_TOO_LARGE, `the head has ${into.size} bytes, the limit is ${maxSize}`)
  }
  return undefined
}
