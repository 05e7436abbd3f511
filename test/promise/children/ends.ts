/**
 * A process with a hub and a client, in which whatever may fail fails. It ends by itself once both are closed.
 */
import { connect, listen } from "effect-swaggersocket/promise"

process.on("unhandledRejection", (error) => console.log("unhandled", error))
process.on("exit", (code) => console.log(`exits with ${code}`))

const hub = await listen({ host: "127.0.0.1" })
hub.on("connection", async ({ fetch }) => {
  await fetch("/throws", { signal: AbortSignal.timeout(0) })
})
hub.on("event", () => Promise.reject(new Error("a listener")))

const client = await connect(hub.url)
client.serve(() => Promise.reject(new Error("a handler")))
client.on("status", () => {
  throw new Error("a listener")
})

const connection = await hub.awaitConnection()
const { closed } = connection
const answer = await connection.fetch("/")
const endless = hub.serve(() => new Promise(() => {}))
const lost = client.fetch("/").catch((error: Error) => error.name)
client.reconnect()
await client.fetch("/", { signal: AbortSignal.timeout(100) }).catch((error: Error) => console.log(error.name))

await client.close({ drain: false })
void endless()
await hub.close({ drain: false })
console.log(answer.status, (await closed)._tag, await lost)
