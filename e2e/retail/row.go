// Package retail says what the shipped rules must make of a month of the "Online Retail" data. It reads the CSV and
// computes the result with the standard library alone, sharing no code with millrace, so that a mistake in one of the
// two cannot hide in the other.
package retail

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Row is one line of the file: one line of an invoice.
type Row struct {
	Number      int // of the row in the file, from 0
	Invoice     string
	StockCode   string // upper case
	Description string // trimmed, "" when missing
	Quantity    int64
	At          int64 // milliseconds since the epoch, the file's local time read as UTC
	Price       float64
	Customer    string // customer number, or guest:<invoice>
	Guest       bool
	Country     string
}

// Cancelled tells whether the row belongs to a cancellation.
func (r Row) Cancelled() bool { return strings.HasPrefix(r.Invoice, "C") }

// Goods tells whether the row is about an article, not about postage, fees or discounts.
func (r Row) Goods() bool { return r.StockCode != "" && r.StockCode[0] >= '0' && r.StockCode[0] <= '9' }

// Sold tells whether the row is an ordinary sale: something was bought and paid for.
func (r Row) Sold() bool { return !r.Cancelled() && r.Quantity > 0 && r.Price > 0 }

// Amount is the row's value in pounds. The conversion keeps the compiler from fusing it into a following addition.
func (r Row) Amount() float64 { return float64(float64(r.Quantity) * r.Price) }

// ReadFile reads a month in the layout of the retail data, plain or, by the ending .gz, compressed.
func ReadFile(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(path, ".gz") {
		return Read(f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return Read(z)
}

// Read reads the rows of a CSV with a heading, in the order of the file.
func Read(r io.Reader) ([]Row, error) {
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 || strings.Join(lines[0], ",") != Heading {
		return nil, fmt.Errorf("the first line is not %q", Heading)
	}
	rows := make([]Row, 0, len(lines)-1)
	for i, line := range lines[1:] {
		row, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		row.Number = i
		rows = append(rows, row)
	}
	return rows, nil
}

// Heading is the first line of every file.
const Heading = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

func parse(line []string) (Row, error) {
	quantity, err := strconv.ParseInt(line[3], 10, 64)
	if err != nil {
		return Row{}, err
	}
	at, err := time.Parse(time.DateTime, line[4])
	if err != nil {
		return Row{}, err
	}
	price, err := strconv.ParseFloat(line[5], 64)
	if err != nil {
		return Row{}, err
	}
	customer := strings.TrimSuffix(line[6], ".0")
	if customer == "" {
		customer = "guest:" + line[0]
	}
	return Row{
		Invoice:     line[0],
		StockCode:   strings.ToUpper(strings.TrimSpace(line[1])),
		Description: strings.TrimSpace(line[2]),
		Quantity:    quantity,
		At:          at.UnixMilli(),
		Price:       price,
		Customer:    customer,
		Guest:       line[6] == "",
		Country:     line[7],
	}, nil
}
