#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "cpu/plane_tables.h"
#include "e8p/codebook.h"
#include "e8p/linear.h"
#include "e8p/pack.h"
#include "support/golden.h"
#include "support/sha256.h"

namespace glq::e8p {
namespace {

using test::Golden;

TEST(Sha256, KnownDigests) {
  EXPECT_EQ(test::Sha256("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(test::Sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Codebook, AllE8pCodesHaveThePublishedDigest) {
  std::vector<int8_t> table(65536 * 8);
  for (size_t c = 0; c < 65536; ++c) DecodeE8p(static_cast<uint16_t>(c), &table[c * 8]);
  EXPECT_EQ(test::Sha256(table.data(), table.size()),
            "ea3883a85a627590ca74626320a2a691943386a8c89ac72cdb6388bfe7da5cc0");
}

TEST(Codebook, AllE81bCodesHaveThePublishedDigest) {
  std::vector<int8_t> table(256 * 8);
  for (size_t c = 0; c < 256; ++c) DecodeE81b(static_cast<uint8_t>(c), &table[c * 8]);
  std::ifstream in(Golden::Dir() + "manifest.json");
  const auto manifest = nlohmann::json::parse(in);
  EXPECT_EQ(test::Sha256(table.data(), table.size()),
            manifest["cases"]["codebook"]["e81b_table_times2_i8_sha256"].get<std::string>());
}

TEST(Codebook, TablesAreTheGoldenOnes) {
  const Golden golden;
  const auto magnitudes = golden.Load<uint8_t>("codebook/abs_times2");
  const auto e81b = golden.Load<int8_t>("codebook/e81b_times2");
  ASSERT_EQ(magnitudes.size(), 2048u);
  ASSERT_EQ(e81b.size(), 2048u);
  for (size_t i = 0; i < 2048; ++i) {
    EXPECT_EQ(MagnitudesTimes2()[i / 8][i % 8], magnitudes[i]) << i;
    EXPECT_EQ(E81bTimes2()[i / 8][i % 8], e81b[i]) << i;
  }
  const auto codes = golden.Load<uint16_t>("codebook/sample_codes");
  const auto values = golden.Load<int8_t>("codebook/sample_times4");
  for (size_t i = 0; i < codes.size(); ++i) {
    int8_t w4[8];
    DecodeE8p(codes[i], w4);
    for (size_t k = 0; k < 8; ++k) EXPECT_EQ(w4[k], values[8 * i + k]) << codes[i];
  }
}

TEST(Codebook, NibbleWordsDecodeAlike) {
  const NibbleTables& t = Nibbles();
  for (int c = 0; c < 65536; ++c) {
    int8_t w4[8];
    DecodeE8p(static_cast<uint16_t>(c), w4);
    const uint32_t word = t.magnitude[static_cast<size_t>(c >> 8)] ^ t.sign[static_cast<size_t>(c & 255)];
    for (int k = 0; k < 8; ++k) ASSERT_EQ(2 * static_cast<int>(word >> (4 * k) & 15) - 15, w4[k]) << c;
  }
  for (int c = 0; c < 256; ++c) {
    int8_t w2[8];
    DecodeE81b(static_cast<uint8_t>(c), w2);
    for (int k = 0; k < 8; ++k) ASSERT_EQ(static_cast<int>(t.e81b[static_cast<size_t>(c)] >> (4 * k) & 15) - 4, w2[k]);
  }
}

TEST(Codebook, PlanesOfSignsAreAffine) {
  const cpu::PlaneTables& planes = cpu::Planes();
  EXPECT_EQ(planes.sign_constant, 0x11);  // an immediate of the AVX-512 kernel
  for (int s = 0; s < 256; ++s) {
    for (int b = 0; b < 4; ++b) {
      int byte = planes.sign_constant;
      for (int bit = 0; bit < 8; ++bit) {
        const uint64_t row = planes.sign[b] >> (8 * (7 - bit)) & 255;
        byte ^= (__builtin_popcountll(row & static_cast<uint64_t>(s)) & 1) << bit;
      }
      ASSERT_EQ(byte, static_cast<int>(Nibbles().sign[static_cast<size_t>(s)] >> (8 * b) & 255)) << s << " " << b;
    }
  }
}

TEST(Pack, GoldenCodesAndWords) {
  const Golden golden;
  const auto codes = golden.Load<uint16_t>("pack/e8p_codes");
  const auto packed = golden.Load<uint64_t>("pack/e8p_packed");
  std::vector<uint64_t> made(packed.size());
  PackE8p(codes.data(), 32, 128, made.data());
  EXPECT_EQ(made, packed);
  std::vector<uint16_t> back(codes.size());
  UnpackE8p(packed.data(), 32, 128, back.data());
  EXPECT_EQ(back, codes);
}

TEST(Pack, SingleCodesLandWhereTheFormatSays) {
  struct Case {
    int64_t rows, cols, row, group;
    uint16_t code;
    size_t index;
    uint64_t word;
  };
  const Case cases[] = {
      {32, 128, 0, 0, 0xABCD, 0, 0x11001101000000ABu},     {32, 128, 1, 0, 0xABCD, 0, 0x220022020000AB00u},
      {32, 128, 0, 1, 0xABCD, 0, 0x4400440400AB0000u},     {32, 128, 1, 1, 0xABCD, 0, 0x88008808AB000000u},
      {32, 128, 19, 13, 0x12F7, 102, 0x8888088812000000u}, {48, 192, 47, 23, 0x8001, 287, 0x0000000880000000u},
      {48, 192, 34, 9, 0xFFFF, 228, 0x4444444400FF0000u}};
  for (const Case& c : cases) {
    std::vector<uint16_t> codes(static_cast<size_t>(c.rows * c.cols / 8));
    codes[static_cast<size_t>(c.row * c.cols / 8 + c.group)] = c.code;
    std::vector<uint64_t> expected(static_cast<size_t>(c.rows * c.cols / 32)), made(expected.size(), ~0ull);
    expected[c.index] = c.word;
    PackE8p(codes.data(), c.rows, c.cols, made.data());
    EXPECT_EQ(made, expected) << c.row << "," << c.group;
  }
}

TEST(Blocks, GoldenDecompositions) {
  std::ifstream in(Golden::Dir() + "blocks.json");
  const auto cases = nlohmann::json::parse(in);
  ASSERT_GE(cases.size(), 35u);
  for (const auto& c : cases) {
    EXPECT_EQ(BinaryBlocks(c["n_pad"]), c["cols_floor64"].get<std::vector<int64_t>>());
    EXPECT_EQ(BinaryBlocks(c["m_pad"]), c["rows_floor16"].get<std::vector<int64_t>>());
    EXPECT_EQ(BinaryBlocks(c["dim"]), c["unpadded_blocks"].get<std::vector<int64_t>>());
  }
}

}  // namespace
}  // namespace glq::e8p
