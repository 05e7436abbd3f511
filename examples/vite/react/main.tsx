/**
 * A page with React: `useConnection` is the connection of a component.
 */
import { StrictMode, useEffect, useState } from "react"
import { createRoot } from "react-dom/client"
import { show } from "../show.ts"
import { useConnection } from "./useConnection.ts"

const App = () => {
  const { client, status } = useConnection("/socket")
  const [text, setText] = useState("")
  useEffect(() => {
    const controller = new AbortController()
    client?.fetch("/api/way", { signal: controller.signal }).then((response) => response.text()).then((text) => {
      setText(text)
      return show(text)
    }).catch(() => {})
    return () => controller.abort()
  }, [client])
  // The hub asks for /title.
  useEffect(() => {
    const stop = client?.serve(() => new Response(document.title))
    return () => void stop?.()
  }, [client])
  return <p>{status?._tag ?? "Connecting"}: {text}</p>
}

createRoot(document.querySelector("main")!).render(
  <StrictMode>
    <App />
  </StrictMode>
)
