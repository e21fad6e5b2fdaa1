// Package avsc holds the Avro schemas that millrace ships: one file per event type, in a folder per domain. The folder
// is the schema's namespace and the file name its name, so commerce/Purchase.avsc defines commerce.Purchase.
package avsc

import "embed"

// FS holds every shipped schema as <domain>/<Name>.avsc.
//
//go:embed */*.avsc
var FS embed.FS
