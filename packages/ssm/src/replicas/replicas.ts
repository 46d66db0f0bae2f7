/** What other replicas do to keys, told to whoever has keys in memory. Each call takes effect before it returns. */
export interface KeyNews {
  /** a key is about to be destroyed: nothing that is under way with it counts any more */
  destroying(label: string, id: number): void
  /** the keys under a label are not those that were remembered */
  changed(label: string): void
  /** any key may have been changed */
  anything(): void
}

/**
 * The other processes that serve the keys of one token. What makes an answer right while they change keys: whoever destroys a key first
 * tells all the others, and waits until each has said that it knows. From then on until the change is over no other begins anything with
 * the keys of that label, and nothing that was under way with that key counts. One that cannot be told stops using keys by itself before
 * it counts as gone.
 */
export interface Replicas {
  /** Has news told, from now on. */
  follow(news: KeyNews): void
  /** Undefined where keys under the label may be used now; else resolves when to ask again. @throws Problem DATABASE_UNAVAILABLE */
  admission(label: string): Promise<void> | undefined
  /** Undefined where all that others did has been told; else resolves when it has been. @throws Problem DATABASE_UNAVAILABLE */
  caughtUp(): Promise<void> | undefined
  /** Runs `work` while no other changes keys under the label. @throws Problem DATABASE_UNAVAILABLE */
  exclusively<T>(label: string, work: () => Promise<T>): Promise<T>
  /** Destroys a key when every other knows that it will. Only within {@link Replicas.exclusively}. @throws Problem DATABASE_UNAVAILABLE */
  destroying(label: string, id: number, destroy: () => Promise<void>): Promise<void>
  /** Resolves when every other knows that the keys under a label are others now. Only within {@link Replicas.exclusively}. */
  tellChanged(label: string): Promise<void>
  /** Leaves the others; idempotent. */
  close(): Promise<void>
}

const NOTHING = Promise.resolve()

/** There is nobody else. */
export const ALONE: Replicas = {
  follow: () => {},
  admission: () => undefined,
  caughtUp: () => undefined,
  exclusively: (_label, work) => work(),
  destroying: (_label, _id, destroy) => destroy(),
  tellChanged: () => NOTHING,
  close: () => NOTHING,
}
