package retail

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Generate writes n rows of an invented month, December 2010, in the layout of the retail data; the same seed gives the
// same bytes. It is full of what is rare in November 2011 or missing there: customers who move, spend bands that fall
// back, cancellations of guests or with a positive quantity, quoted descriptions, letters beyond ASCII, quantity 0,
// repeated rows, equal times, sums that plain addition of doubles gets wrong.
func Generate(w io.Writer, seed uint64, n int) error {
	g := generator{rand.New(rand.NewPCG(seed, seed))}
	out := csv.NewWriter(w)
	if err := out.Write(strings.Split(Heading, ",")); err != nil {
		return err
	}
	now := time.Date(2010, time.December, 1, 8, 26, 0, 0, time.UTC)
	var invoice, customer, country string
	var line []string
	for i, left := 0, 0; i < n; i, left = i+1, left-1 {
		if left <= 0 {
			left = 1 + g.IntN(12)
			invoice = strconv.Itoa(536365 + i)
			if g.IntN(6) == 0 {
				invoice = "C" + invoice
			}
			customer, country = g.customer()
			now = now.Add(time.Duration(g.IntN(40)) * time.Minute) // often 0: equal times
		}
		if line == nil || g.IntN(20) > 0 {
			line = g.line(invoice, customer, country, now)
		} else { // repeats the row before, which is a row of its own
			line[0], line[4], line[6], line[7] = invoice, now.Format(time.DateTime), customer, country
			line[3] = sign(invoice, strings.TrimPrefix(line[3], "-"))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

type generator struct{ *rand.Rand }

// customer yields one of 60 customers, who sometimes move, or a guest.
func (g generator) customer() (id, country string) {
	country = "United Kingdom"
	n := g.IntN(75)
	switch {
	case n >= 60:
		return "", country
	case n%3 == 0:
		country = pick(g, "United Kingdom", "France", "EIRE", "Unspecified")
	case n%10 == 1:
		country = "Norway"
	}
	return fmt.Sprintf("%d.0", 12346+n), country
}

func (g generator) line(invoice, customer, country string, at time.Time) []string {
	quantity := strconv.Itoa(pick(g, 1, 1, 2, 6, 12, 48, 600))
	price := pick(g, "0.1", "0.29", "0.85", "1.25", "2.1", "7.95", "39.95", "1157.15", "0.001")
	description := pick(g,
		"WHITE HANGING HEART T-LIGHT HOLDER", "CHRISTMAS  CAKE TIN ", "HEART OF HEART", "VINTAGE RETROSPOT KITCHEN BELL",
		"RECORD FRAME 7\" SINGLE SIZE ", "WHITE TEA,COFFEE,SUGAR JARS", "\"QUOTED, TWICE\"", " garden kneeling pad", "CAFÉ GARDEN SIGN £1",
		"Tin of 50's\nVintage Buttons", "HEARTS & CAKES", "")
	stock := pick(g, "85123A", "85123a", "22423", "21506", "22041", "84970l", "84970L", "POST", "M", "DCGSSGIRL", "gift_0001_20", "71053")
	switch g.IntN(25) {
	case 0:
		price = "0.0"
	case 1:
		quantity, price = "-"+quantity, "0.0"
	case 2:
		quantity = "0"
	}
	if strings.HasPrefix(invoice, "C") && g.IntN(15) > 0 { // else cancelled, and yet a positive quantity
		quantity = sign(invoice, strings.TrimPrefix(quantity, "-"))
	}
	return []string{invoice, stock, description, quantity, at.Format(time.DateTime), price, customer, country}
}

// sign makes a quantity negative when the invoice is a cancellation.
func sign(invoice, quantity string) string {
	if strings.HasPrefix(invoice, "C") && quantity != "0" {
		return "-" + quantity
	}
	return quantity
}

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }
