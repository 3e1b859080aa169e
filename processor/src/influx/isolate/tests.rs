use super::*;

#[test]
fn every_quoted_line_has_its_reason() {
    // As a real 2.9.1 words it.
    let message = "unable to parse 'bad': missing fields\nunable to parse 'worse,': missing tag key\nunable to parse 'a,t=x f=NaN 1700000005': invalid number";
    let expected: [(&[u8], _); 3] = [
        (b"bad", "missing fields"),
        (b"worse,", "missing tag key"),
        (b"a,t=x f=NaN 1700000005", "invalid number"),
    ];
    assert_eq!(named_lines(message), HashMap::from(expected));
}

#[test]
fn a_line_may_have_quotes_colons_and_newlines_in_it() {
    let message = "unable to parse 'a,t=it's f=\"x': y\nz\" q': invalid timestamp\n";
    let expected: [(&[u8], _); 1] = [(b"a,t=it's f=\"x': y\nz\" q", "invalid timestamp")];
    assert_eq!(named_lines(message), HashMap::from(expected));
}

#[test]
fn other_words_name_no_line() {
    assert!(named_lines("invalid precision; valid precision units are ns, us, ms, and s").is_empty());
    assert!(named_lines("unable to parse 'cut off").is_empty());
}
