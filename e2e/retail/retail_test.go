package retail

import (
	"bytes"
	"fmt"
	"testing"
)

const november = "../../testdata/retail/online-retail-2011-11.csv.gz"

func readNovember(t *testing.T) []Row {
	t.Helper()
	rows, err := ReadFile(november)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func invented(t *testing.T, n int) []Row {
	t.Helper()
	var file bytes.Buffer
	if err := Generate(&file, 1, n); err != nil {
		t.Fatal(err)
	}
	rows, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The numbers were counted in the file one by one, by other means than Expect.
func TestNovember(t *testing.T) {
	out := Expect(readNovember(t))
	for stream, want := range map[string]int{
		"commerce.purchases":     84711,
		"preference.interests":   29515,
		"preference.changes":     1711 + 2368,    // first countries, changes of the spend band
		"risk.signals":           995 + 163 + 72, // cancellations below 100 pounds, customers abroad, bands that became high
		"risk.reviews":           81,
		"inventory.reservations": 83091,
		"inventory.returns":      1016,
		"inventory.adjustments":  604,
		"inventory.demand":       83091,      // one for each sale of goods
		"inventory.seasons":      19173,      // of 78,035 articles and weeks
		"risk.profile":           1230 + 81,  // one for each signal and review
		"risk.spend":             666 + 2664, // hours above 1,000 pounds of 11,247, days
		"preference.visits":      2528,
		"preference.trends":      7 * 26, // themes, days on which the shop was open
		"risk.reversals":         31,
		"risk.bursts":            102, // by 76 orders
		"preference.lapses":      69,
	} {
		if got := len(out[stream]); got != want {
			t.Errorf("%s: %d records, want %d", stream, got, want)
		}
	}
}

func TestEveryRowMovesStockOnce(t *testing.T) {
	for name, rows := range map[string][]Row{"November": readNovember(t), "invented": invented(t, 2000)} {
		out := Expect(rows)
		moved := len(out["inventory.reservations"]) + len(out["inventory.returns"]) + len(out["inventory.adjustments"])
		if moved != len(rows) {
			t.Errorf("%s: %d movements of %d rows", name, moved, len(rows))
		}
		for stream, records := range out {
			t.Logf("%s: %-24s%7d", name, stream, len(records))
			if len(records) == 0 {
				t.Errorf("%s: nothing in %s", name, stream)
			}
		}
	}
}

func TestDemandIsTheSumOfReservations(t *testing.T) {
	out := Expect(invented(t, 2000))
	units, lines := map[string]int64{}, map[string]int64{}
	for _, r := range out["inventory.reservations"] {
		units[r.Key] += r.Fields["units"].(int64)
		lines[r.Key]++
	}
	last := map[string]Record{}
	for _, d := range out["inventory.demand"] {
		last[d.Key] = d
	}
	for _, d := range last {
		if d.Fields["units"] != units[d.Key] || d.Fields["orders"] != lines[d.Key] {
			t.Errorf("demand of %s: %v, reserved %d in %d lines", d.Key, d.Fields, units[d.Key], lines[d.Key])
		}
	}
}

// The invented month is only worth its name while it holds what November lacks.
func TestGenerateCoversEdges(t *testing.T) {
	rows := invented(t, 2000)
	found := map[string]int{}
	for i, r := range rows {
		same := r
		same.Number--
		for edge, is := range map[string]bool{
			"guest cancels":    r.Guest && r.Cancelled(),
			"units cancelled":  r.Cancelled() && r.Quantity > 0,
			"gift":             !r.Guest && !r.Cancelled() && r.Quantity > 0 && r.Price == 0,
			"correction":       !r.Cancelled() && r.Quantity < 0,
			"no units":         r.Quantity == 0,
			"no description":   r.Description == "",
			"comma":            bytes.ContainsRune([]byte(r.Description), ','),
			"quote":            bytes.ContainsRune([]byte(r.Description), '"'),
			"line break":       bytes.ContainsRune([]byte(r.Description), '\n'),
			"beyond ASCII":     bytes.ContainsRune([]byte(r.Description), 'É'),
			"tie":              i > 0 && r.At == rows[i-1].At && r.Invoice != rows[i-1].Invoice,
			"repeated":         i > 0 && same == rows[i-1],
			"unspecified":      r.Country == "Unspecified",
			"charge cancelled": !r.Goods() && r.Cancelled(),
		} {
			if is {
				found[edge]++
			}
		}
	}
	bands := map[string]string{}
	for _, c := range Expect(rows)["preference.changes"] {
		if c.Fields["attribute"] == "country" && c.Fields["initial"] != c.Fields["value"] {
			found["moved"]++
		}
		if c.Fields["attribute"] == "spend_band" {
			if c.Fields["value"] == "low" && bands[c.Key] != "" {
				found["band falls"]++
			}
			bands[c.Key] = c.Fields["value"].(string)
		}
	}
	t.Log(found)
	for _, edge := range []string{
		"guest cancels", "units cancelled", "gift", "correction", "no units", "no description", "comma", "quote", "line break",
		"beyond ASCII", "tie", "repeated", "unspecified", "charge cancelled", "moved", "band falls",
	} {
		if found[edge] == 0 {
			t.Errorf("no row with: %s", edge)
		}
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	var a, b, other bytes.Buffer
	for w, seed := range map[*bytes.Buffer]uint64{&a: 7, &b: 7, &other: 8} {
		if err := Generate(w, seed, 300); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), other.Bytes()) {
		t.Error("the seed does not determine the file")
	}
}

// What Compare must notice, shown on one change to a right answer each.
func TestCompare(t *testing.T) {
	want := Expect(invented(t, 2000))
	for stream, records := range want {
		if diff := Compare(stream, records, records); len(diff) > 0 {
			t.Errorf("%s differs from itself: %v", stream, diff)
		}
		for name, got := range map[string][]Record{
			"lost":    records[1:],
			"doubled": append([]Record{records[0]}, records...),
			"changed": append([]Record{{Key: records[0].Key, Fields: map[string]any{}}}, records[1:]...),
			"nothing": nil,
		} {
			if len(Compare(stream, records, got)) == 0 {
				t.Errorf("%s: Compare does not notice %s", stream, name)
			}
		}
	}
	changes := want["preference.changes"]
	country, bands := split(changes)
	if diff := Compare("preference.changes", changes, append(bands, country...)); len(diff) > 0 {
		t.Errorf("the order of two rules' records counts: %v", diff)
	}
}

func split(changes []Record) (country, bands []Record) {
	for _, c := range changes {
		if c.Fields["attribute"] == "country" {
			country = append(country, c)
		} else {
			bands = append(bands, c)
		}
	}
	return country, bands
}

func TestSumIsExact(t *testing.T) {
	var s sum
	for _, x := range []float64{1e16, 1, 1, -1e16} {
		s.add(x)
	}
	var tenths sum
	for range 10 {
		tenths.add(0.1)
	}
	if got := fmt.Sprint(s.value(), tenths.value()); got != "2 1" {
		t.Errorf("sums %s, want 2 1", got)
	}
}
