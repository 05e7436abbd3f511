/** A client without Effect: calls a hub, and is called by it. */
import { connect } from "effect-swaggersocket/promise"

export const size = 8 * 1024 * 1024

const hash = async (data: ArrayBuffer): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", data)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("")

/** What it has sent and received, by hashes; and how its connection has ended. */
export const callHub = async (url: string, options: Parameters<typeof connect>[1] = {}) => {
  const client = await connect(url, { timeout: "20 seconds", ...options })
  client.serve(async (request) => new Response(await hash(await request.arrayBuffer())))
  const body = new Uint8Array(size).fill(7).map((_, at) => at * at)
  const heard = await (await client.fetch("/hash", { method: "POST", body })).text()
  const answered = await hash(await (await client.fetch("/bytes")).arrayBuffer())
  const asked = await (await client.fetch("/ask")).text()
  await client.close()
  return { sent: await hash(body.buffer), heard, answered, asked, end: (await client.closed)._tag }
}
