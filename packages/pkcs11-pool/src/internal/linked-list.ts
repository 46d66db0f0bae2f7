/**
 * What can be in a {@link LinkedList}: the links are fields of the element itself, so that adding and removing allocate nothing
 * and removing from the middle is O(1). An element is in one list at most, and knows in which.
 */
export abstract class ListNode<N extends ListNode<N>> {
  list: LinkedList<N> | undefined = undefined
  previous: N | undefined = undefined
  next: N | undefined = undefined
}

/** A doubly linked list of elements that carry their own links. */
export class LinkedList<N extends ListNode<N>> {
  first: N | undefined = undefined
  last: N | undefined = undefined
  length = 0

  addFirst(node: N): void {
    this.#adopt(node)
    node.next = this.first
    if (this.first === undefined) this.last = node
    else this.first.previous = node
    this.first = node
  }

  addLast(node: N): void {
    this.#adopt(node)
    node.previous = this.last
    if (this.last === undefined) this.first = node
    else this.last.next = node
    this.last = node
  }

  /** Takes an element out; false, and nothing happens, when it is not in this list. */
  remove(node: N): boolean {
    if (node.list !== this) return false
    if (node.previous === undefined) this.first = node.next
    else node.previous.next = node.next
    if (node.next === undefined) this.last = node.previous
    else node.next.previous = node.previous
    node.list = undefined
    node.previous = undefined
    node.next = undefined
    this.length -= 1
    return true
  }

  removeFirst(): N | undefined {
    const node = this.first
    if (node !== undefined) this.remove(node)
    return node
  }

  /** The elements as they are now, first to last: safe to walk while the list changes. */
  toArray(): N[] {
    const nodes: N[] = []
    for (let node = this.first; node !== undefined; node = node.next) nodes.push(node)
    return nodes
  }

  #adopt(node: N): void {
    if (node.list !== undefined) throw new Error('the element is in a list already')
    node.list = this
    this.length += 1
  }
}
