import { type Client, type ClientEvents, connect } from "effect-swaggersocket/promise"
import { useEffect, useState } from "react"

/** The connection of a component, from when it is shown until it is gone; `undefined` until there is one. */
export const useConnection = (url: string) => {
  const [client, setClient] = useState<Client>()
  const [status, setStatus] = useState<ClientEvents["status"]>()
  useEffect(() => {
    const controller = new AbortController()
    const { signal } = controller
    connect(url, { signal }).then((client) => {
      setClient(client)
      client.on("status", setStatus)
    }, () => {})
    return () => {
      controller.abort()
      setClient(undefined)
    }
  }, [url])
  return { client, status }
}
