//! Output in columns.

use std::fmt::Write as _;

/// Spaces between columns.
const GAP: usize = 2;

/// Rows with one cell per column; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// In Kubernetes' notation for bytes.
pub fn bytes(count: usize) -> String {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    match count {
        0..KIB => format!("{count} B"),
        KIB..MIB => format!("{} KiB", count.div_ceil(KIB)),
        _ => format!("{:.1} MiB", count as f64 / MIB as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();

        assert_eq!(table(&[row(["a", "é"]), row(["bcd", "e"])]), "a    é\nbcd  e\n");
    }

    #[test]
    fn amounts_of_bytes_have_units() {
        assert_eq!([512, 1_500, 3 << 19].map(bytes), ["512 B", "2 KiB", "1.5 MiB"]);
    }
}
