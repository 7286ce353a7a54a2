// Package tap stands in for github.com/mndrix/tap-go, which the validation programs import and Debian does not carry:
// as much of it as they call.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type results struct {
	done    int
	started bool
	failed  int
}

// T prints the results of one program as they come.
type T struct {
	Writer io.Writer
	// TODO marks every result as one that is not expected to be good yet.
	TODO bool
	*results
}

// New returns a T that prints to the standard output.
func New() *T { return &T{Writer: os.Stdout, results: &results{}} }

// Todo returns a T that counts along with this one and marks its results.
func (t *T) Todo() *T {
	marked := *t
	marked.TODO = true
	return &marked
}

func (t *T) line(format string, values ...interface{}) {
	fmt.Fprintf(t.Writer, format+"\n", values...)
}

func (t *T) begin() {
	if !t.started {
		t.started = true
		t.line("TAP version 13")
	}
}

// Header announces how many results there will be; 0 leaves that to AutoPlan.
func (t *T) Header(count int) {
	t.begin()
	if count > 0 {
		t.line("1..%d", count)
	}
}

// AutoPlan tells how many results there were.
func (t *T) AutoPlan() { t.line("1..%d", t.done) }

// Ok is one result.
func (t *T) Ok(good bool, description string) {
	t.begin()
	t.done++
	word, mark := "ok", ""
	if !good {
		word = "not ok"
	}
	if t.TODO {
		mark = " # TODO"
	} else if !good {
		t.failed++
	}
	t.line("%s %d - %s%s", word, t.done, description, mark)
}

// Pass is a good result.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail is a bad one.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip stands for so many results that cannot be had here.
func (t *T) Skip(count int, description string) {
	t.begin()
	for ; count > 0; count-- {
		t.done++
		t.line("ok %d # SKIP %s", t.done, description)
	}
}

// Diagnostic prints remarks.
func (t *T) Diagnostic(message string) {
	for _, line := range strings.Split(strings.TrimSuffix(message, "\n"), "\n") {
		t.line("# %s", line)
	}
}

// Diagnosticf is Diagnostic with a format.
func (t *T) Diagnosticf(format string, values ...interface{}) { t.Diagnostic(fmt.Sprintf(format, values...)) }

// YAML prints details of the last result, as JSON, which is YAML too.
func (t *T) YAML(details interface{}) error {
	text, err := json.MarshalIndent(details, "  ", "  ")
	if err == nil {
		t.line("  ---\n  %s\n  ...", text)
	}
	return err
}
