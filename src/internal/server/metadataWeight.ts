/**
 * About how many bytes a value of JSON takes in memory. The metadata of a client is kept for as long as its connection, and 64 KB
 * of `{}` take 1.3 MB. The numbers are those of V8, as measured in Node 20: objects without members take 64 bytes of an array,
 * arrays 40, and a member of a large object 50.
 *
 * @internal
 */
export const weightOf = (value: unknown): number => {
  if (typeof value === "string") return 16 + 2 * value.length
  if (typeof value !== "object" || value === null) return 8
  if (Array.isArray(value)) {
    let weight = 40
    for (const element of value) weight += 8 + weightOf(element)
    return weight
  }
  let weight = 56
  for (const [name, member] of Object.entries(value)) weight += 40 + name.length + weightOf(member)
  return weight
}
