/** A trunk service as a liner company would print it: the calls in order, `@name` for the passages in between. */
export interface Rotation {
  readonly id: string;
  readonly carrier: string;
  readonly knots: number;
  /** UN/LOCODEs and passages, separated by blanks; the ship returns to the first port after the last. */
  readonly calls: string;
}

/**
 * The trunk services: the great east-west and north-south routes between the busiest container ports, modelled on how
 * liner companies run them. Written by hand, since the data knows places but neither their trade nor the sea ways.
 */
export const rotations: readonly Rotation[] = [
  // Asia and Europe, through Suez
  rotation(
    "AE1",
    "Boreal Line",
    17,
    `CNTAO CNSHA CNNGB CNYTN SGSIN @malacca @dondra @guardafui @bab-el-mandeb @suez
    MAPTM @finisterre @ushant NLRTM DEHAM BEANR GBLGP @ushant @finisterre @gibraltar @sicily @suez SAJED
    @bab-el-mandeb @guardafui LKCMB @malacca MYPKG CNXMN`,
  ),
  rotation(
    "AE2",
    "Meridian Lines",
    17,
    `KRPUS CNSHA CNXMN HKHKG CNNSA VNVUT SGSIN @malacca @dondra @guardafui
    @bab-el-mandeb @suez @gibraltar @finisterre @ushant FRLEH GBFXT BEZEE NLRTM DEBRV @ushant @finisterre ESALG @suez
    @bab-el-mandeb @guardafui @dondra @malacca MYTPP CNYTN`,
  ),
  rotation(
    "AM1",
    "Levant Lines",
    16,
    `CNNGB CNSHA TWKHH CNYTN MYPKG @malacca @dondra @guardafui @bab-el-mandeb SAJED
    @suez EGPSD GRPIR ITGIT ITGOA FRFOS ESBCN ESVLC MTMAR EGDAM @suez @bab-el-mandeb @guardafui LKCMB @malacca SGSIN`,
  ),
  rotation(
    "AM2",
    "Levant Lines",
    15,
    `SGSIN @malacca LKCMB INMUN OMSLL @bab-el-mandeb EGSOK @suez EGALY ILHFA LBBEY
    TRMER TRAMB @bosphorus ROCND UAODS @bosphorus GRPIR EGPSD @suez SAJED @bab-el-mandeb DJJIB OMSLL LKCMB @malacca`,
  ),
  // The Pacific
  rotation(
    "TP1",
    "Kuroshio Line",
    18,
    `CNYTN HKHKG TWKHH CNXMN CNSHA JPNGO JPTYO @unimak USLAX USOAK @unimak JPYOK JPUKB`,
  ),
  rotation(
    "TP2",
    "Boreal Line",
    17,
    `CNTXG CNDLC CNTAO KRPUS @tsugaru @unimak CAPRR CAVAN USSEA USTIW @unimak @tsugaru
    JPTYO KRPUS`,
  ),
  rotation("TP3", "Meridian Lines", 18, `SGSIN VNVUT HKHKG CNNGB CNSHA KRPUS @tsugaru USLGB USOAK USHNL GUGUM TWKHH`),
  rotation(
    "TP4",
    "Kuroshio Line",
    18,
    `CNNGB CNSHA KRPUS MXZLO PABLB @panama PAMIT COCTG @windward USSAV USCHS USNYC USORF
    @windward JMKIN PAONX @panama PABLB MXZLO JPYOK`,
  ),
  rotation("TP5", "Pacific Star", 16, `JPYOK CNSHA HKHKG @luzon MXZLO GTPRQ PABLB ECGYE PECLL CLSAI CLVAP PECLL MXZLO`),
  // The Atlantic
  rotation(
    "TA1",
    "Atlantic Bridge",
    17,
    `DEHAM DEBRV NLRTM BEANR GBFXT FRLEH @ushant @cape-race USNYC USORF USCHS USSAV
    @cape-race @ushant GBSOU`,
  ),
  rotation(
    "TA2",
    "Atlantic Bridge",
    16,
    `BEANR NLRTM GBLGP @ushant @cape-race CAHAL CAMTR CAQUE CASJF @cape-race @ushant GBLIV
    IEDUB FRLEH`,
  ),
  rotation(
    "TA3",
    "Levant Lines",
    16,
    `GRPIR ITGIT ITGOA ESVLC ESALG PTSIE USNYC USBAL USORF USSAV USMIA ESALG MAPTM ITGIT`,
  ),
  rotation(
    "TA4",
    "Atlantic Bridge",
    16,
    `NLRTM FRLEH @ushant @finisterre PTLEI @florida USMIA @florida USHOU USMOB
    USMSY MXVER MXATM USHOU @florida @ushant GBSOU BEANR DEBRV`,
  ),
  rotation(
    "TA5",
    "Carib Feeder",
    16,
    `NLRTM GBPME FRLEH @ushant @mona DOCAU COCTG PAMIT CRMOB GTSTC HNPCR JMKIN PRSJU
    @mona @ushant BEZEE`,
  ),
  // South America
  rotation(
    "SA1",
    "Southern Cross Line",
    17,
    `NLRTM DEHAM BEANR FRLEH @ushant @finisterre MAPTM @dakar @recife BRSSA
    BRRIO BRSSZ BRPNG ARBUE UYMVD BRRIG BRSSZ BRRIO BRPEC @dakar @finisterre @ushant GBLGP`,
  ),
  rotation(
    "SA2",
    "Southern Cross Line",
    17,
    `CNSHA CNNGB CNYTN HKHKG SGSIN @sunda MUPLU @good-hope BRRIO BRSSZ BRPNG
    BRIOA UYMVD ARBUE BRSSZ @good-hope ZADUR @sunda SGSIN`,
  ),
  rotation(
    "SA3",
    "Carib Feeder",
    16,
    `USNYC USBAL USORF USSAV USMIA @mona BRPEC BRSUA BRSSA BRSSZ BRPNG BRRIO BRPEC
    TTPOS COCTG JMKIN @windward BSFPO USCHS`,
  ),
  rotation("SA4", "Pacific Star", 15, `PABLB COBUN ECGYE PECLL CLIQQ CLANF CLVAP CLSAI CLIQQ PECLL ECGYE`),
  // Africa and the Indian Ocean
  rotation(
    "AF1",
    "Baobab Line",
    15,
    `BEANR FRLEH @ushant @finisterre MACAS SNDKR CIABJ GHTEM TGLFW NGAPP CMDLA CGPNR AOLAD
    NAWVB CGPNR CIABJ @dakar ESALG @finisterre @ushant NLRTM`,
  ),
  rotation(
    "AF2",
    "Baobab Line",
    16,
    `SGSIN MYPKG @malacca LKCMB MUPLU ZADUR ZAPLZ ZACPT @good-hope NAWVB GHTEM TGLFW
    NGLOS @good-hope ZACPT ZADUR MUPLU @malacca`,
  ),
  rotation(
    "AF3",
    "Baobab Line",
    15,
    `AEJEA @hormuz OMSLL KEMBA TZDAR MGTMM RELPT MUPLU ZADUR MZMPM TZDAR KEMBA DJJIB
    SAJED @bab-el-mandeb OMSLL @hormuz`,
  ),
  rotation(
    "IO1",
    "Monsoon Lines",
    15,
    `AEJEA @hormuz PKKHI INMUN INNSA INCOK LKCMB INMAA INVTZ INHAL BDCGP MMRGN MYPKG SGSIN @malacca
    LKCMB INNSA @hormuz`,
  ),
  rotation(
    "IO2",
    "Monsoon Lines",
    16,
    `CNSHA CNNGB HKHKG SGSIN MYPKG @malacca LKCMB INNSA PKKHI @hormuz AEJEA SADMM KWSWK
    IQUQR BHKBS QADOH AEJEA @hormuz @comorin @dondra @malacca VNVUT`,
  ),
  // Oceania and within Asia
  rotation("OC1", "Southern Cross Line", 16, `SGSIN IDJKT @sunda AUFRE AUADL AUMEL AUSYD AUBNE @torres IDSUB`),
  rotation("OC2", "Kuroshio Line", 16, `JPYOK KRPUS CNSHA CNNGB HKHKG AUBNE AUSYD AUMEL NZAKL NZTRG PGPOM`),
  rotation("OC3", "Pacific Star", 15, `USLAX USOAK PFPPT NZAKL NZLYT AUMEL AUSYD NCNOU FJSUV USHNL`),
  rotation("IA1", "Coral Feeder", 14, `SGSIN THLCH VNSGN PHMNL TWKEL CNXMN HKHKG CNHAK VNHPH VNSGN IDJKT IDSUB`),
  rotation("IA2", "Coral Feeder", 14, `JPTYO JPYOK JPNGO JPOSA JPUKB KRPUS CNTAO CNTXG CNDLC KRICH CNSHA`),
  rotation("IA3", "Coral Feeder", 14, `KRPUS RUVVO CNSHA TWTXG TWKHH PHMNL HKHKG CNNSA CNSHA JPUKB`),
  // Northern Europe
  rotation(
    "NE1",
    "Amber Feeder",
    14,
    `DEHAM DEBRV NLRTM @skagen DKAAR SEGOT PLGDN PLGDY LTKLJ LVRIX EETLL RULED FIHEL
    SESTO @skagen`,
  ),
  rotation("NE2", "Amber Feeder", 14, `NLRTM GBFXT GBGRG NOOSL SEGOT DKAAR NOBGO GBIMM BEANR`),
  rotation(
    "NE3",
    "Amber Feeder",
    14,
    `NLRTM GBIMM ISREY GBBEL IEDUB GBLIV FRLEH @ushant ESBIO PTLEI PTLIS ESVGO @ushant BEANR`,
  ),
];

function rotation(id: string, carrier: string, knots: number, calls: string): Rotation {
  return { id, carrier, knots, calls };
}
