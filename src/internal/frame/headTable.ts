/**
 * The head table: static entries and, per direction, a dynamic table of recently sent fields (PROTOCOL.md, "Static
 * table", "Dynamic table" and "What to add").
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

const staticSize = staticTable.length

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
/** Counted for each entry and each field besides its UTF-8, as in RFC 7541 section 4.1. @internal */
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

/** A name as it was decoded once; the entries and fields that take it over share it. @internal */
export interface Name {
  readonly text: string
  /** Its length in UTF-8. */
  readonly bytes: number
  /** What is wrong with it. It may stand in the table all the same, and spoils each head that uses it. */
  readonly fault: string | undefined
  /** It belongs to another transport: the field is left out of the head. */
  readonly dropped: boolean
}

/** An entry of a decoder's table. @internal */
export interface Entry {
  readonly name: Name
  readonly field: Field
  readonly size: number
  /** What is wrong with name or value. */
  readonly fault: string | undefined
}

const staticEntries: ReadonlyArray<Entry> = staticTable.map((field) => ({
  name: { text: field[0], bytes: field[0].length, fault: undefined, dropped: false },
  field,
  size: field[0].length + field[1].length + entryOverhead,
  fault: undefined
}))

/** Evicted slots are cut off when they are at least this many and the larger half. */
const minCut = 32

/**
 * The dynamic table as both ends keep it: entries numbered by insertion, the oldest evicted to stay within `capacity`.
 */
abstract class DynamicTable<E extends Pick<Entry, "field" | "size">> {
  protected readonly capacity: number
  /** Slots before `oldest` are evicted. */
  private readonly slots: Array<E | undefined> = []
  private oldest = 0
  /** Insertion number of `slots[0]`. */
  private first = 0
  private used = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Bytes in use, never more than the capacity. */
  get size(): number {
    return this.used
  }

  /** The fields from the newest to the oldest, for tools and tests. */
  get fields(): Array<Field> {
    return this.slots.flatMap((entry) => entry === undefined ? [] : [entry.field]).reverse()
  }

  protected get inserted(): number {
    return this.first + this.slots.length
  }

  /** The k-th newest entry. */
  protected recent(k: number): E | undefined {
    return k < this.slots.length ? this.slots[this.slots.length - 1 - k] : undefined
  }

  protected insert(entry: E): void {
    const slots = this.slots
    while (this.used + entry.size > this.capacity && this.oldest < slots.length) {
      const evicted = slots[this.oldest]!
      slots[this.oldest] = undefined
      this.used -= evicted.size
      this.oldest++
      this.evicted(evicted.field)
    }
    if (this.oldest >= minCut && this.oldest * 2 >= slots.length) {
      slots.splice(0, this.oldest)
      this.first += this.oldest
      this.oldest = 0
    }
    if (entry.size > this.capacity) return
    slots.push(entry)
    this.used += entry.size
  }

  protected evicted(_field: Field): void {}
}

/** @internal */
export class DecodeTable extends DynamicTable<Entry> {
  /** The entry of an index as it stands on the wire; `undefined` when the table has none. */
  get(index: number): Entry | undefined {
    return index < staticSize ? staticEntries[index] : this.recent(index - staticSize)
  }

  add(name: Name, field: Field, size: number, fault: string | undefined): void {
    this.insert({ name, field, size, fault })
  }
}

/**
 * The peer's table as an encoder knows it.
 *
 * A lone surrogate is sent as U+FFFD and kept here as it was given. That is safe: what finds the entry decodes to the
 * same text as if it were sent anew, and another text that decodes alike only misses it.
 *
 * @internal
 */
export class EncodeTable extends DynamicTable<Pick<Entry, "field" | "size">> {
  private known: Map<string, Map<string, number>> | undefined = undefined

  /** The index of a field that the peer's table holds. */
  find(name: string, value: string): number | undefined {
    const fixed = staticFields.get(name)?.get(value)
    if (fixed !== undefined) return fixed
    const insertion = this.known?.get(name)?.get(value)
    return insertion === undefined ? undefined : staticSize + this.inserted - 1 - insertion
  }

  /** Adds a field that `find` does not know if it is worth its place, and answers whether it did. */
  add(field: Field, nameBytes: number, valueBytes: number): boolean {
    const size = nameBytes + valueBytes + entryOverhead
    if (valueBytes > maxIndexedValue || size > this.capacity || volatileNames.has(field[0])) return false
    this.insert({ field, size })
    this.known ??= new Map()
    let values = this.known.get(field[0])
    if (values === undefined) this.known.set(field[0], values = new Map())
    values.set(field[1], this.inserted - 1)
    return true
  }

  protected override evicted(field: Field): void {
    const values = this.known?.get(field[0])
    values?.delete(field[1])
    if (values?.size === 0) this.known!.delete(field[0])
  }
}
