/** Adds a line to the page, and tells whoever has started the example. */
export const show = async (text: string): Promise<void> => {
  const line = document.createElement("p")
  line.textContent = text
  document.body.append(line)
  await fetch("/shown", { method: "POST", body: text })
}
