/**
 * Runs in a browser: a page that is in the hands of a test, by `remote.ts`.
 */
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as Schedule from "effect/Schedule"
import * as Promises from "../../src/promise/browser.ts"
import { hexOf, makeCalls } from "./pageCalls.ts"

const pageId = Math.random()
/** With delays of an hour nothing but an event of the page makes the client dial again. */
const isPatient = location.search === "?patient"
const connecting = Promises.connect(`ws://${location.host}/socket`, {
  metadata: { pageId },
  ...(isPatient ? { layer: Reconnection.layer({ schedule: Schedule.spaced("1 hour") }) } : {})
})
const events: Array<string> = []

let answer!: (text: string) => void
const answered = new Promise<string>((resolve) => {
  answer = resolve
})

const client = connecting.then((client) => {
  client.serve(async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === "/slow") return new Response(await answered)
    if (pathname === "/hash") return new Response(await hexOf(await request.arrayBuffer()))
    return new Response(await request.text())
  })
  client.on("event", ({ _tag }) => void events.push(_tag))
  return client
})

for (const type of ["online", "offline"]) addEventListener(type, () => events.push(type))
for (const type of ["pagehide", "pageshow"]) {
  addEventListener(type, (event) => events.push(`${type} ${(event as PageTransitionEvent).persisted}`))
}

/** What the console shows while a client can't connect, and what that then rejects with. */
const failingToConnect = async (url: string, metadata: unknown) => {
  const lines: Array<string> = []
  const { log } = console
  console.log = (...parts: ReadonlyArray<unknown>) => void lines.push(parts.map(String).join(" "))
  try {
    await Promises.connect(url, { metadata, timeout: 500 })
    return { lines, error: "none" }
  } catch (error) {
    return { lines, error: String(error) }
  } finally {
    console.log = log
  }
}

/** Says on what page a test is: one that was loaded anew has another number. */
const tab = {
  pageId,
  events,
  answer,
  failingToConnect,
  /** Lasts until the client's status is this one. */
  statusIs: async (tag: string) => {
    const { on } = await client
    await new Promise<void>((resolve) => on("status", ({ _tag }) => _tag === tag && resolve()))
  },
  /** Lasts until the page is hidden, and its timers come once a second. */
  isHidden: async () => {
    await new Promise<void>((resolve) => {
      const look = () => document.visibilityState === "hidden" && resolve()
      document.addEventListener("visibilitychange", look)
      look()
    })
    for (let took = 0; took < 900;) {
      const since = performance.now()
      await new Promise((resolve) => setTimeout(resolve, 1))
      took = performance.now() - since
    }
  },
  ...makeCalls(client.then(({ fetch }) => fetch))
}

Object.assign(globalThis, { tab })
