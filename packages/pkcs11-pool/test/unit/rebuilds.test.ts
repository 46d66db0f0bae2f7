import { expect, test } from 'vitest'
import { Rebuilds } from '../../src/resilience/rebuilds.js'

test('a module is initialised again from the third failure on, at the cost of others ever more rarely', () => {
  const rebuilds = new Rebuilds()
  const course: string[] = []
  for (let failures = 0; failures <= 24; failures += 1) {
    if (rebuilds.next === 'initialise') course.push(`${failures}`)
    if (failures < 3) expect(rebuilds.next).toBe('as it is')
    else expect(rebuilds.next).not.toBe('as it is')
    rebuilds.failed()
  }
  expect(course).toEqual(['3', '6', '12', '24'])
  rebuilds.succeeded()
  expect(rebuilds.next).toBe('as it is')
})

test('a token that answers nothing in its sessions is looked at twice, and its sessions opened anew once, before that', () => {
  const rebuilds = new Rebuilds()
  for (let round = 0; round < 2; round += 1) {
    expect(rebuilds.unanswered()).toBe(false)
    expect(rebuilds.unanswered()).toBe(true)
    expect(rebuilds.next).toBe('as it is')
    rebuilds.failed()
    expect(rebuilds.next).toBe('initialise unless shared')
    rebuilds.failed()
    expect(rebuilds.next).toBe('initialise unless shared')
    rebuilds.failed()
    expect(rebuilds.next).toBe('initialise')
    rebuilds.succeeded()
  }
})
