/**
 * What a browser's service worker gives its script, as far as `serviceWorker` uses it: the events of pages' requests.
 */
import { serviceWorker, type ServiceWorkerOptions } from "effect-swaggersocket/browser"
import { onTestFinished } from "vitest"
import * as WS from "ws"

type Listener = (event: unknown) => void

/** What came of an event: `undefined` where the browser is left alone with the request. */
export interface Answered {
  readonly response: Promise<Response> | undefined
  /** Resolves when the worker is needed no more. */
  readonly ended: Promise<unknown> | undefined
}

/** Installs `serviceWorker` until the test is over; `ask` is a request of a page. */
export const install = (options: ServiceWorkerOptions) => {
  const listeners = new Set<Listener>()
  const members = {
    ServiceWorkerGlobalScope: {},
    addEventListener: (_type: string, listener: Listener) => listeners.add(listener),
    removeEventListener: (_type: string, listener: Listener) => listeners.delete(listener),
    // Node 20 has none.
    WebSocket: globalThis.WebSocket ?? WS.WebSocket
  }
  for (const [name, value] of Object.entries(members)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    onTestFinished(() => {
      if (before === undefined) Reflect.deleteProperty(globalThis, name)
      else Object.defineProperty(globalThis, name, before)
    })
  }
  const installed = serviceWorker(options)
  onTestFinished(() => installed.close())
  const dispatch = (request: Request): Answered => {
    let response: Promise<Response> | undefined
    let ended: Promise<unknown> | undefined
    const event = {
      request,
      respondWith: (given: Promise<Response>) => {
        response = given
      },
      waitUntil: (given: Promise<unknown>) => {
        ended = given
      }
    }
    for (const listener of listeners) listener(event)
    return { response, ended }
  }
  return {
    ...installed,
    dispatch,
    ask: (url: string, init?: RequestInit): Promise<Response> => {
      const { response } = dispatch(new Request(url, init))
      return response ?? Promise.reject(new Error(`${url} was left to the browser`))
    }
  }
}
