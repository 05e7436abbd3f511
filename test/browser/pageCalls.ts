/**
 * Calls of a page to its hub, whose answers it checks.
 */
import { patternOf } from "./messages.ts"

/** The SHA-256 of bytes. */
export const hexOf = async (bytes: BufferSource): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("")

export const makeCalls = (fetching: Promise<typeof globalThis.fetch>) => ({
  /** So many calls at once; how many of their answers are right. */
  calls: async (count: number) => {
    const fetch = await fetching
    const answers = await Promise.all(Array.from({ length: count }, async (_, i) => {
      const answer = await fetch("/echo", { method: "POST", body: `call ${i}` })
      return await answer.text() === `call ${i}`
    }))
    return answers.filter((isRight) => isRight).length
  },
  /** Whether the hub finds the hash of what it is sent. */
  upload: async (size: number) => {
    const fetch = await fetching
    const body = patternOf(size)
    const { sha256 } = await (await fetch("/upload", { method: "POST", body })).json()
    return sha256 === await hexOf(body)
  },
  /** Whether what the hub sends has the hash that it tells. */
  download: async (size: number) => {
    const fetch = await fetching
    const answer = await fetch(`/bytes/${size}`)
    const bytes = await answer.arrayBuffer()
    return bytes.byteLength === size && await hexOf(bytes) === answer.headers.get("x-sha256")
  }
})
