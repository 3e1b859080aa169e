//! The page's files, part of the binary.

/// One file.
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file the page consists of.
pub(super) const ALL: [Asset; 8] = [
    Asset { path: "/", media_type: HTML, body: include_str!("assets/index.html") },
    Asset { path: "/assets/page.css", media_type: CSS, body: include_str!("assets/page.css") },
    Asset { path: "/assets/page.js", media_type: SCRIPT, body: include_str!("assets/page.js") },
    Asset { path: "/assets/charts.js", media_type: SCRIPT, body: include_str!("assets/charts.js") },
    Asset { path: "/assets/panels.js", media_type: SCRIPT, body: include_str!("assets/panels.js") },
    Asset { path: "/assets/pipeline.js", media_type: SCRIPT, body: include_str!("assets/pipeline.js") },
    Asset { path: "/assets/format.js", media_type: SCRIPT, body: include_str!("assets/format.js") },
    Asset { path: "/favicon.svg", media_type: SVG, body: include_str!("assets/favicon.svg") },
];
