// Prints "PASSED FAILED" for a report of vitest and the status vitest ended with. A file that could not be run counts as one failed
// test, and so does a run that failed without naming one. What failed is named on stderr: of a long output, often only the end is kept.
import { readFileSync } from 'node:fs'

const [file, status] = process.argv.slice(2)

function count() {
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  const broken = report.testResults.filter(({ status: outcome, assertionResults }) => {
    return outcome === 'failed' && !assertionResults.some((each) => each.status === 'failed')
  })
  for (const { name } of broken) console.error(`FAILED: ${name} could not be run`)
  for (const { name, assertionResults } of report.testResults) {
    for (const { status: outcome, fullName, failureMessages } of assertionResults) {
      if (outcome === 'failed') console.error(`FAILED: ${name}: ${fullName}: ${firstLines(failureMessages)}`)
    }
  }
  const failed = report.numFailedTests + broken.length
  if (failed === 0 && status !== '0')
    console.error(`FAILED: no test, but the run ended with status ${status}: its output says why`)
  return { passed: report.numPassedTests, failed: failed === 0 && status !== '0' ? 1 : failed }
}

function firstLines(messages) {
  return messages.map((message) => message.split('\n').slice(0, 3).join(' ').slice(0, 400)).join('; ')
}

const { passed, failed } = count()
console.log(`${passed} ${failed}`)
