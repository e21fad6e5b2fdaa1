// Generate writes the files of testdata/fraud, or others like them: of another seed, into another folder.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace-io/millrace/e2e/fraud"
)

func main() {
	seed := flag.Uint64("seed", 1, "what decides everything")
	dir := flag.String("dir", "testdata/fraud", "folder for activity.csv and cases.csv")
	flag.Parse()
	if err := write(*seed, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(seed uint64, dir string) error {
	var rows, cases bytes.Buffer
	s := fraud.Generate(seed)
	return errors.Join(s.WriteRows(&rows), s.WriteCases(&cases),
		os.WriteFile(filepath.Join(dir, "activity.csv"), rows.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "cases.csv"), cases.Bytes(), 0o644))
}
