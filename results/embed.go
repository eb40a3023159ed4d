// Package results has what measurements are held to, for programs that run anywhere.
package results

import _ "embed"

// Targets is targets.toml.
//
//go:embed targets.toml
var Targets string
