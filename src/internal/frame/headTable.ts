/**
 * The head table: static entries and, per direction, a dynamic table of recently sent fields (PROTOCOL.md, "Fields").
 */

/** @internal */
export type Field = readonly [name: string, value: string]

/** Index 0-47, in the order of PROTOCOL.md. */
const staticTable: ReadonlyArray<Field> = [
  ["accept", "*/*"],
  ["accept", "application/json"],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["authorization", ""],
  ["b3", ""],
  ["cache-control", "no-cache"],
  ["cache-control", "no-store"],
  ["content-disposition", ""],
  ["content-encoding", "gzip"],
  ["content-length", ""],
  ["content-length", "0"],
  ["content-type", "application/json"],
  ["content-type", "application/x-ndjson"],
  ["content-type", "application/octet-stream"],
  ["content-type", "application/x-www-form-urlencoded"],
  ["content-type", "text/event-stream"],
  ["content-type", "text/plain"],
  ["content-type", "text/plain; charset=utf-8"],
  ["content-type", "text/html; charset=utf-8"],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["last-modified", ""],
  ["location", ""],
  ["origin", ""],
  ["priority", ""],
  ["range", ""],
  ["content-range", ""],
  ["accept-ranges", "bytes"],
  ["referer", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["traceparent", ""],
  ["tracestate", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["www-authenticate", ""],
  ["x-request-id", ""],
  ["x-correlation-id", ""],
  ["idempotency-key", ""],
  ["access-control-allow-origin", "*"],
  ["allow", ""]
]

/** @internal */
export const staticSize = staticTable.length

/** Values of these change with nearly every head: adding them would only push useful entries out. */
const volatileNames = new Set([
  "content-length",
  "date",
  "etag",
  "traceparent",
  "tracestate",
  "b3",
  "last-modified",
  "x-request-id",
  "x-correlation-id",
  "idempotency-key",
  "range",
  "content-range",
  "location"
])

/** Longer values are not worth their place in a table of a few kilobytes. */
const maxIndexedValue = 256
/** Counted for each entry and each field besides its bytes, as in RFC 7541 section 4.1. @internal */
export const entryOverhead = 32

const staticNames = new Map<string, number>()
/** name -> value -> index; two maps spare the hot path a string concatenation. */
const staticFields = new Map<string, Map<string, number>>()
staticTable.forEach(([name, value], index) => {
  if (!staticNames.has(name)) staticNames.set(name, index)
  let values = staticFields.get(name)
  if (values === undefined) staticFields.set(name, values = new Map())
  if (!values.has(value)) values.set(value, index)
})

/** @internal */
export const staticName = (name: string): number | undefined => staticNames.get(name)

/**
 * An entry and its size by PROTOCOL.md: the UTF-8 bytes of name and value, and 32.
 *
 * @internal
 */
export interface Entry {
  readonly field: Field
  readonly nameBytes: number
  readonly size: number
  /** What is wrong with a field that entered the table although it breaks a rule: using it breaks the rule again. */
  readonly fault: string | undefined
}

const staticEntries: ReadonlyArray<Entry> = staticTable.map((field) => ({
  field,
  nameBytes: field[0].length,
  size: field[0].length + field[1].length + entryOverhead,
  fault: undefined
}))

/**
 * The dynamic table as both ends keep it: entries numbered by insertion, the oldest evicted to stay within `capacity`.
 */
abstract class DynamicTable {
  protected readonly capacity: number
  private readonly entries: Array<Entry> = []
  /** Insertion number of `entries[0]`; older ones are gone. */
  private first = 0
  private size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  protected get inserted(): number {
    return this.first + this.entries.length
  }

  protected entry(insertion: number): Entry | undefined {
    return this.entries[insertion - this.first]
  }

  protected insert(entry: Entry): void {
    let evict = 0
    while (this.size + entry.size > this.capacity && evict < this.entries.length) {
      const oldest = this.entries[evict]!
      this.size -= oldest.size
      this.evicted(oldest.field, this.first + evict)
      evict++
    }
    if (evict > 0) {
      this.entries.splice(0, evict)
      this.first += evict
    }
    if (entry.size > this.capacity) return
    this.entries.push(entry)
    this.size += entry.size
  }

  protected evicted(_field: Field, _insertion: number): void {}
}

/** @internal */
export class DecodeTable extends DynamicTable {
  /** The entry of an index as it stands on the wire; `undefined` when the table has none. */
  get(index: number): Entry | undefined {
    return index < staticSize ? staticEntries[index] : this.entry(this.inserted - 1 - (index - staticSize))
  }

  add(field: Field, nameBytes: number, valueBytes: number, fault: string | undefined): void {
    this.insert({ field, nameBytes, size: nameBytes + valueBytes + entryOverhead, fault })
  }
}

/** @internal */
export class EncodeTable extends DynamicTable {
  private readonly known = new Map<string, Map<string, number>>()

  /** The index of a field that the peer's table holds. */
  find(name: string, value: string): number | undefined {
    const fixed = staticFields.get(name)?.get(value)
    if (fixed !== undefined) return fixed
    const insertion = this.known.get(name)?.get(value)
    return insertion === undefined ? undefined : staticSize + this.inserted - 1 - insertion
  }

  /** Adds a field if it is worth its place, and answers whether it did. */
  add(field: Field, nameBytes: number, valueBytes: number): boolean {
    const size = nameBytes + valueBytes + entryOverhead
    if (valueBytes > maxIndexedValue || size > this.capacity || volatileNames.has(field[0])) return false
    this.insert({ field, nameBytes, size, fault: undefined })
    let values = this.known.get(field[0])
    if (values === undefined) this.known.set(field[0], values = new Map())
    values.set(field[1], this.inserted - 1)
    return true
  }

  protected override evicted(field: Field, insertion: number): void {
    const values = this.known.get(field[0])
    if (values?.get(field[1]) !== insertion) return
    values.delete(field[1])
    if (values.size === 0) this.known.delete(field[0])
  }
}
