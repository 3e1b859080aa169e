//! The contract's routes, written down as plainly as possible.

/// The route of a URL: scheme, host and query string cut, a leading `/`, and `:id` for segments that look like ids.
pub(super) fn template(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path,
    };
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let templated: Vec<&str> = segments.into_iter().map(|s| if is_id(s) { ":id" } else { s }).collect();
    format!("/{}", templated.join("/"))
}

/// All digits, a UUID, at least 16 hexadecimal digits, or a word and a number: `word_123`, `word-123`.
fn is_id(segment: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let is_uuid = || {
        let parts: Vec<&str> = segment.split('-').collect();
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| hex(part))
    };
    let is_numbered = || {
        let parts = segment.rsplit_once(['_', '-']);
        parts.is_some_and(|(word, number)| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic()) && digits(number)
        })
    };
    digits(segment) || (segment.len() >= 16 && hex(segment)) || is_uuid() || is_numbered()
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn urls_become_routes() {
        for (url, route) in [
            ("/", "/"),
            ("", "/"),
            ("https://shop.example", "/"),
            ("https://shop.example/cart?x=/1", "/cart"),
            ("search/categories", "/search/categories"),
            ("/product/42/reviews", "/product/:id/reviews"),
            ("/landing/spring-sale", "/landing/spring-sale"),
            ("/item/product_17", "/item/:id"),
            ("/item/abc-9", "/item/:id"),
            ("/u/5d529ba5-063a-45dc-a405-04dc2eebd26b", "/u/:id"),
            ("/x/0123456789abcdef", "/x/:id"),
            ("/x/0123456789abcde", "/x/0123456789abcde"),
        ] {
            assert_eq!(template(url), route, "{url}");
        }
    }
}
