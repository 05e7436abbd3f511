/**
 * A page that knows nothing of a connection, but registers a service worker that does.
 */
import { show } from "../show.ts"

const { serviceWorker } = navigator

const controlled = new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }))
await serviceWorker.register("/worker.js", { type: "module" })
if (serviceWorker.controller === null) await controlled

const response = await fetch("/api/way")
await show(await response.text())

const lamp = new Image()
lamp.addEventListener("load", () => void show("an image, which came the same way"))
lamp.src = "/api/lamp.svg"
document.body.append(lamp)

const events = new EventSource("/api/ticks")
events.addEventListener("message", ({ data }) => {
  void show(data)
  if (data === "tick 3") events.close()
})
