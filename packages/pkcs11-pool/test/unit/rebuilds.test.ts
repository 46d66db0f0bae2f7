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
