/**
 * A browser in the hands of a test: Chromium by the DevTools protocol, Firefox by WebDriver BiDi, each over a WebSocket.
 */
import * as Effect from "effect/Effect"
import { WebSocket } from "ws"
import { type Browser, openRemote } from "./browser.ts"

/** A tab, by the id that its browser gives it. */
type Tab = string

export interface Remote {
  /** Opens a tab in front of the others, and waits until its page is loaded. */
  readonly openTab: (url: string) => Promise<Tab>
  /** As a user does: the page is not asked. */
  readonly closeTab: (tab: Tab) => Promise<unknown>
  /** Its process dies. */
  readonly crash: (tab: Tab) => Promise<unknown>
  /** Shows a tab, which hides the others. */
  readonly show: (tab: Tab) => Promise<unknown>
  /** What a script of the tab's page gives, or its promise; it has to be JSON. */
  readonly run: (tab: Tab, script: string) => Promise<any>
  readonly reload: (tab: Tab) => Promise<unknown>
  readonly navigate: (tab: Tab, url: string) => Promise<unknown>
  readonly back: (tab: Tab) => Promise<unknown>
  readonly setOffline: (tab: Tab, isOffline: boolean) => Promise<unknown>
}

type Send = (method: string, parameters?: object, sessionId?: string) => Promise<any>

/** Commands that are answered by their number, as both protocols have them. `told` is given the events. */
const connect = (url: string, told: (event: any) => void) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<{ readonly socket: WebSocket; readonly send: Send }>((resolve, reject) => {
        const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 16 * 1024 * 1024 })
        const waiting = new Map<number, (answer: any) => void>()
        let count = 0
        const send: Send = (method, params = {}, sessionId) =>
          new Promise((resolve, reject) => {
            const id = ++count
            waiting.set(id, (answer) => {
              if (answer.error === undefined) resolve(answer.result)
              else reject(new Error(`${method}: ${JSON.stringify(answer.error)} ${answer.message ?? ""}`))
            })
            socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }))
          })
        socket.on("message", (data) => {
          const answer = JSON.parse(String(data))
          if (answer.id === undefined) return told(answer)
          waiting.get(answer.id)?.(answer)
          waiting.delete(answer.id)
        })
        socket.once("open", () => resolve({ socket, send }))
        socket.once("error", reject)
      })
    ),
    ({ socket }) => Effect.sync(() => socket.terminate())
  )

/** A page is loaded once its script has run, which says so by `tab`. */
const loaded = async (run: Remote["run"], tab: Tab): Promise<void> => {
  for (;;) if (await run(tab, "document.readyState === 'complete'").catch(() => false)) return
}

const chromium = Effect.fnUntraced(function*(endpoint: string) {
  const { send } = yield* connect(endpoint, () => {})
  const sessions = new Map<Tab, string>()
  const run: Remote["run"] = async (tab, expression) => {
    const { exceptionDetails, result } = await send(
      "Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true, userGesture: true },
      sessions.get(tab)
    )
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    }
    return result.value
  }
  const remote: Remote = {
    openTab: async (url) => {
      const { targetId } = await send("Target.createTarget", { url: "about:blank" })
      const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true })
      sessions.set(targetId, sessionId)
      await send("Page.enable", {}, sessionId)
      await send("Network.enable", {}, sessionId)
      await remote.navigate(targetId, url)
      return targetId
    },
    closeTab: (targetId) => send("Target.closeTarget", { targetId }),
    // It is not answered.
    crash: async (tab) => void send("Page.crash", {}, sessions.get(tab)),
    show: (tab) => send("Page.bringToFront", {}, sessions.get(tab)),
    run,
    reload: (tab) => send("Page.reload", {}, sessions.get(tab)),
    navigate: async (tab, url) => {
      await send("Page.navigate", { url }, sessions.get(tab))
      await loaded(run, tab)
    },
    back: (tab) => send("Runtime.evaluate", { expression: "history.back()", userGesture: true }, sessions.get(tab)),
    setOffline: (tab, offline) =>
      send(
        "Network.emulateNetworkConditions",
        { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 },
        sessions.get(tab)
      )
  }
  return remote
})

const firefox = Effect.fnUntraced(function*(endpoint: string) {
  const { send } = yield* connect(`${endpoint}/session`, () => {})
  yield* Effect.promise(() => send("session.new", { capabilities: {} }))
  const run: Remote["run"] = async (context, script) => {
    const { exceptionDetails, result } = await send("script.evaluate", {
      expression: `Promise.resolve(${script}).then((value) => JSON.stringify(value))`,
      target: { context },
      awaitPromise: true,
      userActivation: true
    })
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text)
    return result.value === undefined ? undefined : JSON.parse(result.value)
  }
  const remote: Remote = {
    openTab: async (url) => {
      const { context } = await send("browsingContext.create", { type: "tab" })
      await remote.navigate(context, url)
      return context
    },
    closeTab: (context) => send("browsingContext.close", { context }),
    crash: () => Promise.reject(new Error("WebDriver BiDi has no command for it")),
    show: (context) => send("browsingContext.activate", { context }),
    run,
    reload: (context) => send("browsingContext.reload", { context, wait: "complete" }),
    navigate: async (context, url) => {
      await send("browsingContext.navigate", { context, url, wait: "complete" })
      await loaded(run, context)
    },
    back: (context) => send("browsingContext.traverseHistory", { context, delta: -1 }),
    setOffline: (context, isOffline) =>
      send("emulation.setNetworkConditions", {
        networkConditions: isOffline ? { type: "offline" } : null,
        contexts: [context]
      })
  }
  return remote
})

/** Starts a browser, which ends with the scope. */
export const control = (browser: Browser) =>
  Effect.flatMap(
    openRemote(browser),
    (endpoint) => browser.name === "Chromium" ? chromium(endpoint) : firefox(endpoint)
  )
