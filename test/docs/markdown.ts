/** A fenced block of a document. */
export interface Block {
  language: string
  /** what stands behind the language */
  about: string
  code: string
  /** of its fence, from 1 */
  line: number
}

/** The fenced blocks of a document, in their order. */
export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map(
    ({ index, 1: language = '', 2: about = '', 3: code = '' }) => ({
      language,
      about,
      code,
      line: markdown.slice(0, index).split('\n').length,
    }),
  )
}

/** Whether a text is what a document shows; `…` in it stands for anything. */
export function matches(shown: string, text: string): boolean {
  const parts = shown
    .trim()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^]*?')}$`).test(text.trim())
}
