"""Folders of images, CSV files and data frames become the rows that were meant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tladapt.readers.files import Reader, read_domains, reader_for, reader_from
from tladapt.readers.folders import Images
from tladapt.readers.tables import LEVELS, Table


def inputs(reader: Reader, source: object) -> torch.Tensor:
    """The inputs alone, of a reader that gives one tensor."""
    x, *_ = reader.read(source)  # type: ignore[arg-type]
    assert isinstance(x, torch.Tensor)
    return x


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def csv(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def rows(path: Path, table: Table | None = None) -> list[list[float]]:
    return (table or Table()).read(path)[0].tolist()


# Images


@pytest.mark.parametrize("size", [1, 8, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_become_bytes_of_one_shape(tmp_path, size, channels):
    save(tmp_path / "a.png", noise(5, 9, 3))
    save(tmp_path / "b.jpg", noise(40, 7))
    save(tmp_path / "c.gif", noise(1, 1))
    save(tmp_path / "d.png", noise(8, 8, 4))
    x, labels, names = Images(size, channels).read(tmp_path)
    assert x.shape == (4, channels, size, size)
    assert x.dtype == torch.uint8
    assert labels is None
    assert names == [str(tmp_path / name) for name in ("a.png", "b.jpg", "c.gif", "d.png")]


def test_an_image_of_the_right_size_is_read_pixel_by_pixel(tmp_path):
    grey, colour = noise(8, 8), noise(8, 8, 3)
    save(tmp_path / "1.png", grey)
    save(tmp_path / "2.png", colour)
    x = Images(8, 3).read(tmp_path)[0]
    assert np.array_equal(x[0], np.stack([grey] * 3))
    assert np.array_equal(x[1], colour.transpose(2, 0, 1))
    assert np.array_equal(Images(8, 1).read(tmp_path / "1.png")[0][0, 0], grey)


def test_shrinking_takes_the_mean_and_growing_a_line(tmp_path):
    stripes = np.tile(np.array([0, 200], dtype=np.uint8), (8, 16))
    assert (Images(4, 1).read(save(tmp_path / "a.png", stripes))[0].int() - 100).abs().max() <= 15
    step = np.repeat(np.array([[0, 100]], dtype=np.uint8), 2, 0)
    assert Images(4, 1).read(save(tmp_path / "b.png", step))[0][0, 0, 0].tolist() == [0, 25, 75, 100]


def test_class_folders_give_the_labels_in_order(tmp_path):
    for name, shade in (("b/2", 3), ("a/9", 2), ("b/1", 4), ("a/10", 1)):
        save(tmp_path / f"{name}.png", np.full((4, 4), shade, dtype=np.uint8))
    x, labels, names = Images(4, 1).read(tmp_path)
    assert x[:, 0, 0, 0].tolist() == [1, 2, 4, 3]
    assert labels == ["a", "a", "b", "b"]
    assert [str(Path(name).relative_to(tmp_path)) for name in names] == ["a/10.png", "a/9.png", "b/1.png", "b/2.png"]


def test_hidden_files_are_left_out(tmp_path):
    save(tmp_path / "a" / "1.png", noise(4, 4))
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "a" / ".DS_Store").touch()
    (tmp_path / ".git").mkdir()
    assert Images(4).read(tmp_path)[1] == ["a"]


def test_images_of_sixteen_bits_keep_their_shades(tmp_path):
    shades = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    x = Images(8, 1).read(save(tmp_path / "x.png", shades))[0]
    assert np.array_equal(x[0, 0], shades >> 8)


def test_a_transparent_palette_is_an_image_like_others(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([9, 9, 9, 50, 60, 70])
    image.save(tmp_path / "x.png", transparency=b"\0\1")
    assert Images(8).read(tmp_path / "x.png")[0][0, :, 0, 0].tolist() == [50, 60, 70]


def test_an_image_too_large_to_be_honest_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for side in (8, 11):  # Pillow warns of the first and refuses the second
        with pytest.raises(ValueError, match=r"x\.png: no image that can be read .*pixels"):
            Images(8).read(save(tmp_path / "x.png", noise(side, side)))


# Tables


def test_numbers_are_centred_and_divided_by_their_spread(tmp_path):
    values = [1.0, 2.0, 4.0, 9.0]
    path = csv(tmp_path / "t.csv", "a\n" + "\n".join(map(str, values)) + "\n")
    expected = (np.array(values) - np.mean(values)) / np.std(values)
    assert np.allclose(rows(path), expected[:, None])


def test_a_column_of_one_value_is_zero(tmp_path):
    assert rows(csv(tmp_path / "t.csv", "a\n7\n7\n")) == [[0], [0]]


def test_a_missing_number_is_the_mean_and_says_so(tmp_path):
    path = csv(tmp_path / "t.csv", "a,b\n1,5\n,6\n3,7\n")
    assert np.allclose(rows(path)[1], [0, 1, 0])
    assert np.allclose(np.array(rows(path))[:, :2], [[-1, 0], [0, 1], [1, 0]])


def test_a_number_that_only_the_target_misses_is_the_mean(tmp_path):
    table = Table()
    rows(csv(tmp_path / "s.csv", "a\n1\n3\n"), table)
    assert rows(csv(tmp_path / "t.csv", "a\n\n5\n"), table) == [[3]]  # a blank line is no row
    assert rows(csv(tmp_path / "u.csv", "a,b\n,1\n5,1\n"), table) == [[0], [3]]


@pytest.mark.parametrize("missing", ["?", "NA", "N/A", "NULL", "None", "null"])
def test_a_number_can_be_missing_in_words(tmp_path, missing):
    tables = Table(), Table()
    expected = rows(csv(tmp_path / "plain.csv", "a,b,c\n1,5,red\n,6,blue\n3,7,\n"), tables[0])
    written = csv(tmp_path / "s.csv", f"a,b,c\n1,5,red\n{missing},6,blue\n3,7,\n")
    assert rows(written, tables[1]) == expected
    assert tables[0] == tables[1]
    target = csv(tmp_path / "t.csv", f"a,b,c\n1,{missing},{missing}\n")
    assert rows(target, tables[1]) == [[-1, 0, 0, 0, 0]]  # b is its mean, and the word is none that the first table had


def test_a_word_that_could_mean_missing_is_a_word_among_words(tmp_path):
    table = Table()
    assert rows(csv(tmp_path / "s.csv", 'country\nNA\nDE\n""\n'), table) == [[0, 1], [1, 0], [0, 0]]
    assert rows(csv(tmp_path / "t.csv", "country,x\nNA,1\n"), table) == [[0, 1]]


def test_words_become_a_column_each_and_unknown_ones_none(tmp_path):
    table = Table()
    assert rows(csv(tmp_path / "s.csv", 'c\nred\nblue\n""\nred\n'), table) == [[0, 1], [1, 0], [0, 0], [0, 1]]
    assert rows(csv(tmp_path / "t.csv", "c\ngreen\nblue\n"), table) == [[0, 0], [1, 0]]
    assert table.words == {"c": ["blue", "red"]}


def test_a_column_with_one_word_among_numbers_is_of_words(tmp_path):
    assert rows(csv(tmp_path / "t.csv", "a\n1\n2\nx\n")) == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_only_the_most_frequent_words_are_told_apart(tmp_path):
    words = [f"w{i}" for i in range(LEVELS + 20)]
    path = csv(tmp_path / "t.csv", "c\n" + "\n".join([*words, *words[20:]]) + "\n")
    with pytest.warns(UserWarning, match="column 'c': 70 different words; the 50 most frequent are told apart"):
        x = torch.tensor(rows(path))
    assert x.shape[1] == LEVELS
    assert x[:20].sum() == 0
    assert (x[20:].sum(1) == 1).all()


def test_the_second_table_is_read_by_the_statistics_of_the_first(tmp_path):
    table = Table()
    rows(csv(tmp_path / "s.csv", "a,label\n0,x\n2,y\n"), table)
    x, labels, numbers = table.read(csv(tmp_path / "t.csv", "label,other,a\ny,1,5\n"))
    assert x.tolist() == [[4]]
    assert labels == ["y"]
    assert numbers == ["1"]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_any_common_dialect_gives_the_same_rows(tmp_path, start, line):
    plain = ["a,b,label", "1,x,no", "3,y,yes"]
    fancy = ['"a", b ,"label"', "", ' 1 ,"x",no', "", '"3",y , yes ', ""]
    tables = Table(), Table()
    one = tables[0].read(csv(tmp_path / "plain.csv", "\n".join(plain)))
    two = tables[1].read(csv(tmp_path / "fancy.csv", start + line.join(fancy)))
    assert tables[0] == tables[1]
    assert torch.equal(one[0], two[0])
    assert one[1:] == two[1:] == (["no", "yes"], ["1", "2"])


def test_quoted_commas_quotes_and_lines_stay_in_their_cell(tmp_path):
    table = Table()
    path = csv(tmp_path / "t.csv", 'c,label\n"a, b",1\n"say ""hi""",2\n"two\nlines",3\n')
    assert table.read(path)[1] == ["1", "2", "3"]
    assert table.words["c"] == ["a, b", 'say "hi"', "two\nlines"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,inf\n", "row 2, column 'b': inf"), ("a,b\n1,2\n\n3,-1e999\n", "row 2, column 'b': -1e999"),
        ("a,b\n1,2\n3,x\n", "row 2, column 'b': 'x' is not a number"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells, the header has 2"),
        ("b\n1\n", "no column 'a'"), ("a,b,label\n1,2,\n3,4,x\n", "row 1: no 'label'"),
        ("a,b,b\n1,2,3\n", "its own name"),
    ],
)  # fmt: skip
def test_a_message_names_table_row_and_column(tmp_path, text, message):
    table = Table()
    rows(csv(tmp_path / "s.csv", "a,b\n1,2\n3,4\n"), table)
    with pytest.raises(ValueError, match=r"t\.csv") as refused:
        table.read(csv(tmp_path / "t.csv", text))
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["a,b,c,label\n1,x,,no\n,y,2,yes\n5,x,3,no\n", "a\n1\n2\n4\n", "b\nx\ny\nx\n"])
def test_a_reader_of_tables_comes_back_from_json(tmp_path, text):
    path, table = csv(tmp_path / "t.csv", text), Table("label")
    x, labels, numbers = table.read(path)
    again = reader_from(json.loads(json.dumps(table.spec())))
    assert again == table
    assert torch.equal(inputs(again, path), x)
    assert again.read(path)[1:] == (labels, numbers)


def test_a_reader_of_images_comes_back_from_json(tmp_path):
    reader = Images(9, 1)
    save(tmp_path / "x.png", noise(5, 5, 3))
    again = reader_from(json.loads(json.dumps(reader.spec())))
    assert again == reader
    assert torch.equal(inputs(again, tmp_path), inputs(reader, tmp_path))


@pytest.mark.parametrize("spec", [{}, {"kind": "pickle"}, {"kind": ["images"]}, {"kind": "table", "lable": "x"}])
def test_what_describes_no_reader_is_refused(spec):
    with pytest.raises(ValueError, match="describes no reader"):
        reader_from(spec)


# Data frames


def test_a_data_frame_is_read_as_its_csv_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = csv(tmp_path / "t.csv", "a,b,label\n1.5,x,no\n,y,yes\n2.5,,no\n")
    from_file, from_frame = Table().read(path), Table().read(pandas.read_csv(path))
    assert torch.equal(from_file[0], from_frame[0])
    assert from_file[1:] == from_frame[1:]


def test_whatever_a_data_frame_calls_missing_is_missing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "a": pandas.array([1, None, 3], dtype="Int64"), "b": pandas.array(["x", None, "y"], dtype="string"),
        "c": [None, np.nan, "z"], "d": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]),
    })  # fmt: skip
    table = Table()
    x = table.read(frame)[0]
    assert x[:, [1, 3]].tolist() == [[0, 0], [1, 1], [0, 0]]  # whether a, and the date d, are missing
    assert x[1].tolist() == [0, 1, 0, 1, 0, 0, 0]
    assert [len(words) for words in table.words.values()] == [2, 1]


def test_two_columns_of_one_name_in_a_data_frame_are_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="two columns have one name"):
        Table().read(pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))


def test_what_is_no_data_frame_is_named():
    with pytest.raises(TypeError, match="list: neither a path nor a data frame"):
        Table().read([[1, 2]])


# Domains


def test_data_frames_become_domains(tmp_path):
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame({"a": range(20), "kind": ["p", "q"] * 10}), pandas.DataFrame({"a": range(5)})]
    (one, two), reader = read_domains(frames, label="kind", test=0.25)
    assert (one.name, two.name) == ("table 1", "table 2")
    assert one.classes == two.classes == ("p", "q")
    assert (len(one.train), len(one.test or ()), len(two.train), two.test) == (15, 5, 5, None)
    assert one.labels == [0, 1]
    assert two.labels is None
    assert reader.spec()["label"] == "kind"
    assert [domain.name for domain in read_domains(frames, names=["x", "y"], label="kind")[0]] == ["x", "y"]


def test_data_frames_with_other_words_and_columns_become_rows_of_one_shape():
    pandas = pytest.importorskip("pandas")
    old = pandas.DataFrame({"a": range(10), "c": ["p", "q"] * 5, "label": ["x", "y"] * 5})
    new = pandas.DataFrame({"more": [1, 2], "c": ["q", "r"], "a": [None, 3]})
    (one, two), reader = read_domains([old, new])
    assert one.train.shape == two.train.shape == (3,)
    assert two.train.x[:, 1:].tolist() == [[0, 1], [0, 0]]
    assert two.train.x[0, 0] == 0
    assert torch.equal(inputs(reader, new), two.train.x)


def test_grey_and_coloured_folders_become_rows_of_one_shape(tmp_path):
    for i, kind in enumerate("ab"):
        for number in range(3):
            save(tmp_path / "colour" / kind / f"{number}.png", noise(8, 8, 3))
        save(tmp_path / "grey" / kind / "1.png", np.full((8, 8), 9 + i, dtype=np.uint8))
    (one, two), _ = read_domains([tmp_path / "colour", tmp_path / "grey"], size=8)
    assert one.train.shape == two.train.shape == (3, 8, 8)
    assert two.train.x[:, :, 0, 0].tolist() == [[9] * 3, [10] * 3]


def test_classes_are_those_of_the_first_folder(tmp_path):
    for kind in ("a/cup", "a/pen", "less/pen", "other/pen", "other/tea"):
        save(tmp_path / kind / "1.png", noise(8, 8))
    (one, two), _ = read_domains([tmp_path / "a", tmp_path / "less"])
    assert one.classes == two.classes == ("cup", "pen")
    assert two.train.y.tolist() == [1]
    with pytest.raises(ValueError, match="other: the label 'tea' is none of the classes of a: cup, pen"):
        read_domains([tmp_path / "a", tmp_path / "other"])


def test_sources_are_a_list(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = csv(tmp_path / "t.csv", "a,label\n1,x\n2,y\n")
    wrongs: list[Any] = [path, str(path), pandas.read_csv(path), []]
    for wrong in wrongs:
        with pytest.raises(TypeError, match="sources: give a list of folders, CSV files or data frames"):
            read_domains(wrong)


def test_a_first_table_without_labels_shows_its_columns(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'label'; did you mean 'Label'\? .*there are a, Label"):
        read_domains([csv(tmp_path / "t.csv", "a,Label\n1,x\n2,y\n")])
    with pytest.raises(ValueError, match=r"t: the first.*label= \(now 'label'; there are a, outcome\)"):
        read_domains([csv(tmp_path / "t.csv", "a,outcome\n1,x\n2,y\n")])


def test_numbered_classes_come_in_the_order_of_numbers(tmp_path):
    path = csv(tmp_path / "t.csv", "a,label\n" + "\n".join(f"{i},{c}" for i, c in enumerate(("10", "9", "b", "a"))))
    (domain,), _ = read_domains([path], test=0.0)
    assert domain.classes == ("9", "10", "a", "b")
    assert domain.train.y.tolist() == [1, 0, 3, 2]


def test_the_held_out_rows_depend_on_the_seed(tmp_path):
    path = csv(tmp_path / "t.csv", "a,label\n" + "\n".join(f"{i},{i % 2}" for i in range(40)))
    held = [read_domains([path], seed=seed)[0][0].test for seed in (0, 0, 1)]
    assert all(part is not None and len(part) == 8 for part in held)
    first, again, other = (part.x for part in held if part is not None)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/train", "b/train"], ["a/train", "b/train"]), (["v1.5", "v1.6"], ["v1.5", "v1.6"]),
        (["a/x/t", "b/x/t", "b/y/t"], ["a/x/t", "b/x/t", "b/y/t"]), (["a/one", "b/two"], ["one", "two"]),
    ],
)  # fmt: skip
def test_domains_are_named_by_as_much_of_the_path_as_tells_them_apart(tmp_path, sources, names):
    for source in sources:
        for i in range(2):
            save(tmp_path / source / f"class {i}" / "1.png", noise(4, 4))
    assert [domain.name for domain in read_domains([str(tmp_path / source) for source in sources])[0]] == names


def test_a_text_file_and_a_csv_file_of_one_name_are_two_domains(tmp_path):
    paths = [csv(tmp_path / name, "a,label\n1,x\n2,y\n") for name in ("t.csv", "t.txt")]
    assert [domain.name for domain in read_domains(paths)[0]] == list(map(str, paths))


@pytest.mark.parametrize("names", [["one"], ["one", "one"]])
def test_every_domain_has_a_name_of_its_own(tmp_path, names):
    paths = [csv(tmp_path / f"{i}.csv", "a,label\n1,x\n2,y\n") for i in range(2)]
    with pytest.raises(ValueError, match=r"^names: 1|^one: comes twice"):
        read_domains(paths, names=names)


def test_the_kind_of_reader_is_seen_from_the_source(tmp_path):
    assert reader_for(tmp_path, size=9) == Images(9)
    assert reader_for(csv(tmp_path / "t.CSV", "a\n"), label="x") == Table("x")
    with pytest.raises(ValueError, match="no such file"):
        reader_for(tmp_path / "gone")
    with pytest.raises(ValueError, match="neither a folder of images nor a table"):
        reader_for(csv(tmp_path / "t.parquet", ""))


def test_what_is_held_out_has_no_part_in_the_statistics(tmp_path):
    rows = [f"{value},{'yes' if value % 2 else 'no'}" for value in range(40)]
    (tmp_path / "a.csv").write_text("age,label\n" + "\n".join(rows) + "\n")
    (domain,), reader = read_domains([tmp_path / "a.csv"], test=0.25)
    assert isinstance(reader, Table)
    assert domain.test is not None
    assert domain.train.x.mean().abs() < 1e-5  # of its own training rows
    mean, spread, _ = reader.numbers["age"]
    kept = domain.train.x[:, 0] * spread + mean
    assert abs(kept.mean().item() - mean) < 1e-4
    assert domain.test.x.mean().abs() > 1e-3
